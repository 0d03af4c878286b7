"""Every error Muybridge raises on purpose. Each says what happened, the value, and what to do.

The tree (`code` is the canonical class that every wire protocol maps; `exit_code` is the command line's):

    MuybridgeError                 internal            exit 1
    ├── UserError (ValueError)     invalid_input       exit 2    wrong request, flag or file
    │   ├── InvalidRequest         invalid_input                 a field of a request; `.field` names it
    │   ├── MediaInvalid           media_invalid                 a file that is not what it claims, or not decodable
    │   ├── MediaFetch             media_fetch                   a URL that may not or cannot be fetched
    │   ├── DoesNotFit             out_of_memory                 refused before loading: more memory than there is
    │   ├── WeightsInvalid         weights_invalid               missing, extra or misshapen tensors; wrong config
    │   ├── NotInstalled           not_installed                 an optional extra is missing; says the command
    │   ├── AuthFailed             auth                          no key, or an unknown, expired or revoked one
    │   ├── PermissionDenied       permission                    the key lacks the scope
    │   ├── QuotaExceeded          quota                         the budget (money) is used up
    │   ├── Throttled              rate                          too many requests; `.retry_after_s`
    │   ├── ModerationRefused      moderation_input              the policy refuses the prompt or its media
    │   ├── NotFound               not_found                     no such thing for this tenant
    │   ├── Conflict               conflict                      same key, another body; or a state forbids it
    │   └── ModelRetired           model_retired                 past its sunset; `.successor` where there is one
    └── Unavailable                capacity            exit 1    not the caller's fault; may work later
        ├── WorkerLost             worker_lost                   a lease ran out or the process died
        ├── DeviceFailed           device_error                  CUDA or NCCL; the process must restart
        ├── ModerationWithheld     moderation_output             the result was made but may not be given out
        ├── ProviderFailed         provider_error                a remote provider answered with a terminal failure
        ├── SubmitUnknown          submit_unknown                a paid submit's answer was lost: never resubmit blindly
        └── TimedOut               timeout                       the deadline passed
    Cancelled                      cancelled           exit 130  asked for by the user; not a failure
"""

from __future__ import annotations

from typing import ClassVar


class MuybridgeError(Exception):
    """Root of the tree; raised itself only for our own faults that a caller should see."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False


class UserError(MuybridgeError, ValueError):
    """The caller can mend this; shown without a traceback, exit code 2."""

    code = "invalid_input"
    exit_code = 2


class InvalidRequest(UserError):
    """A field of a request is out of its limits; `field` names it as the native API spells it."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class MediaInvalid(UserError):
    """A media file is unreadable, hostile, empty or not of the kind asked for."""

    code = "media_invalid"


class MediaFetch(UserError):
    """A media URL is not allowed or could not be fetched."""

    code = "media_fetch"


class DoesNotFit(UserError):
    """The work needs more memory than the device has; the message names a setting that fits."""

    code = "out_of_memory"


class WeightsInvalid(UserError):
    """A checkpoint does not match its config: the message names the tensors."""

    code = "weights_invalid"


class NotInstalled(UserError):
    """An optional part is missing; the message is the command that installs it."""

    code = "not_installed"


class AuthFailed(UserError):
    """No API key, or one that is unknown, expired or revoked."""

    code = "auth"


class PermissionDenied(UserError):
    """The API key is valid but lacks the scope."""

    code = "permission"


class QuotaExceeded(UserError):
    """The key's or tenant's budget does not cover the quote."""

    code = "quota"


class Throttled(UserError):
    """Too many requests; try again after `retry_after_s` seconds."""

    code = "rate"
    retryable = True

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModerationRefused(UserError):
    """The policy refuses the prompt or its media; never tried elsewhere."""

    code = "moderation_input"


class NotFound(UserError):
    """No such job, file, key or model for this tenant."""

    code = "not_found"


class Conflict(UserError):
    """The same idempotency key came with another body, or the state forbids the action."""

    code = "conflict"


class ModelRetired(UserError):
    """The model is past its sunset date; `successor` names the one to use, if there is one."""

    code = "model_retired"

    def __init__(self, message: str, successor: str | None = None) -> None:
        super().__init__(message)
        self.successor = successor


class Unavailable(MuybridgeError):
    """Not the caller's fault and possibly gone later."""

    code = "capacity"
    retryable = True


class WorkerLost(Unavailable):
    """The worker's lease ran out or its process died."""

    code = "worker_lost"


class DeviceFailed(Unavailable):
    """The accelerator failed; its process must be restarted before the next attempt."""

    code = "device_error"


class ModerationWithheld(Unavailable):
    """A result exists but the policy withholds it."""

    code = "moderation_output"
    retryable = False


class ProviderFailed(Unavailable):
    """A remote provider ended the job in failure."""

    code = "provider_error"


class SubmitUnknown(Unavailable):
    """The answer to a paid submit was lost; reconcile first, never resubmit blindly."""

    code = "submit_unknown"
    retryable = False


class TimedOut(Unavailable):
    """The deadline passed."""

    code = "timeout"


class Cancelled(MuybridgeError):
    """Asked for by the user; not a failure."""

    code = "cancelled"
    exit_code = 130
