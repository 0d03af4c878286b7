"""Media files in and out: clips, pictures, sound. numpy and PyAV, no torch.

`writer` makes MP4, `reader` reads any clip onto the clock, `pictures` and `sheets` do stills, `sound` does waveforms;
`display` says what a viewer sees of a frame; `headers`, `boxes` and `sandbox` are for files of strangers
(`muybridge.ingest`): checks in pure Python, and the lock on the process that decodes.
"""

from muybridge.media.boxes import Box, Movie, Track, read_movie
from muybridge.media.headers import ImageHeader, image_header, sniff, wav_header
from muybridge.media.pictures import (
    condition_image,
    crop_to_aspect,
    encode_image,
    orient,
    read_image,
    resize,
    thumbnail,
    write_image,
)
from muybridge.media.reader import ClipReader, MediaInfo, open_media, probe, read_audio, read_clip
from muybridge.media.sheets import contact_sheet, spritesheet
from muybridge.media.sound import resample, write_wav
from muybridge.media.writer import ClipFile, ClipWriter, fit_waveform, samples_at, write_clip

__all__ = [
    "Box",
    "ClipFile",
    "ClipReader",
    "ClipWriter",
    "ImageHeader",
    "MediaInfo",
    "Movie",
    "Track",
    "condition_image",
    "contact_sheet",
    "crop_to_aspect",
    "encode_image",
    "fit_waveform",
    "image_header",
    "open_media",
    "orient",
    "probe",
    "read_audio",
    "read_clip",
    "read_image",
    "read_movie",
    "resample",
    "resize",
    "samples_at",
    "sniff",
    "spritesheet",
    "thumbnail",
    "wav_header",
    "write_clip",
    "write_image",
    "write_wav",
]
