"""Another colour for hair or clothes in a picture, for which its light falls on another dye; and another light.

The world knows the colours that dyes have in white light (world/characters.py). What a picture shows is such a colour
times the light: the named colour that leaves the most likely light is taken for the old one, and the new one is lit by
the same light, with the shades that were there. Edits ask for it (left_alone.py), and drawn pictures (film.py): a draft
often gives a person another colour than its words do. Another light is what the draft makes of the picture over the
source's own detail: of people as coarsely as no face is, of their place so finely that windows, lamps and sky are told.

Letters: C red, green and blue, Y X rows and columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as nnf

from muybridge.engine.components import Finds
from muybridge.engine.layers import filled
from muybridge.world.characters import CLOTHES_COLORS, HAIR_COLORS

RGB = tuple[float, float, float]
SKINS: dict[str, RGB] = {
    "fair": (0.72, 0.46, 0.35),
    "light": (0.61, 0.375, 0.265),
    "tan": (0.50, 0.29, 0.18),
    "brown": (0.28, 0.155, 0.095),
    "dark": (0.15, 0.075, 0.047),
}  # of linear light, as the world's people have them (world/characters.py)
TABLES: dict[str, Mapping[str, RGB]] = {
    "hair": HAIR_COLORS,
    "clothes": CLOTHES_COLORS,
    "thing": CLOTHES_COLORS,
    "skin": SKINS,
}
LIKELY = {"skin": ("light", "tan")}  # where a draft draws the mean of all
LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722])  # of linear light (ITU-R BT.709)
MIDDLE, SKIN = 0.18, 0.25  # what a usual picture reflects of its light, and a face
LEAST_FACE = 20.0  # pixels of a face that tell of the light
TINT = 4.0  # how much less likely a coloured light is than a strange brightness
TINTED = {
    "hair": 0.2,
    "clothes": 0.6,
    "thing": 0.6,
    "skin": 0.6,
}  # of a light's tint that is believed: dark hair tells little of it
LIFT, FLATTER = 3.0, 0.35  # from how much brighter a dye on its shades are made flatter, and how fast
CELLS, GAIN, DARK = (4, 7), (0.02, 12.0), 2e-3  # of a change of light: its cells, its limits, and what no light is
FINE, BRIGHTEST = (
    8,
    3.0,
)  # of a place: pixels of a drawn picture to a cell; what is to be brighter still is laid over it
BARE = 0.3  # of a cell: with less of the place, it is told by the cells around
OWN = 0.7  # of a cell's gain that is its own, and not the picture's
ALIKE, NECK = 0.12, 0.6  # how unlike a face skin may be; how far it reaches beyond, in square roots of its pixels
UNSURE = 0.25  # of a cover: less is nothing, and as much less than all is all
INNER = 0.3  # of what is covered: so much must be left without its edge
# Logarithms of how bright hair of a dye is in pictures of the world beside the mean of face and picture: medians of 194
# scenes of the train split, white a little over grey. Gloss makes black less black than its dye, and light clips white.
SHOWN = {
    "black": -1.48, "dark brown": -1.33, "brown": -1.05, "auburn": -0.6, "red": -0.32, "blue": -0.08, "pink": 0.04,
    "blond": 0.06, "grey": 0.1, "white": 0.25,
}  # fmt: skip
LEVELS = (0.25, 4.0)  # by how much hair is made darker or brighter than its dye in its light
BRIGHTER = 1.3  # than its dye is dark hair that gets a lighter one: it has deeper shades than light hair has
SHADES = {
    "hair": (0.15, 3.0),
    "clothes": (0.15, 3.0),
    "thing": (0.6, 1.5),
    "skin": (0.15, 3.0),
}  # of the mean, between which shades stay


def dyed(finder: Finds, picture_CYX: Tensor, dyes: Mapping[str, str], thing_YX: Tensor | None = None) -> Tensor:
    """[C, Y, X]: a picture in 0..1 with hair and clothes, as they are found, in the named colours.

    A "thing" is where `thing_YX`, of any size, says.
    """
    covers = finder.covers(2 * picture_CYX - 1) if dyes else {}
    face_YX = covers["face"] if dyes else torch.zeros(0)
    usual, beside = None, None  # the light, where a face tells it better than the picture; what hair is seen beside
    if dyes and float(face_YX.sum()) >= LEAST_FACE:
        luminance_YX = _luminance(to_linear(picture_CYX))
        face = float((luminance_YX * face_YX).sum() / face_YX.sum())
        usual, beside = face / SKIN, (face * float(luminance_YX.mean())) ** 0.5
    for part, name in dyes.items():
        if part == "skin":
            picture_CYX = recoloured(picture_CYX, bare_skin(picture_CYX, covers), part, name)
            continue
        if part != "thing":
            cover_YX = cover_of(part, covers)
        elif thing_YX is None:
            continue
        else:
            cover_YX = nnf.interpolate(thing_YX[None, None], picture_CYX.shape[1:], mode="bilinear")[0, 0]
        level = beside * math.exp(SHOWN[name]) if part == "hair" and beside and name in SHOWN else None
        picture_CYX = recoloured(picture_CYX, cover_YX, part, name, usual, level)
    return picture_CYX


def cover_of(part: str, covers: Mapping[str, Tensor]) -> Tensor:
    """[Y, X]: where hair or clothes are, as the finder's covers tell it; what is unsure is all or nothing."""
    cover_YX = covers["hair"] if part == "hair" else covers["person"] - covers["head"]
    return sure(cover_YX)


def bare_skin(picture_CYX: Tensor, covers: Mapping[str, Tensor]) -> Tensor:
    """[Y, X]: where a picture in 0..1 shows a face, and what around it has the face's colour: neck and ears."""
    face_YX = sure(covers["face"])
    size = float(face_YX.sum())
    if size < LEAST_FACE:
        return torch.zeros_like(face_YX)
    log_CYX = to_linear(picture_CYX).clamp(min=DARK).log()
    apart_CYX = log_CYX - ((log_CYX * face_YX).sum((1, 2)) / size)[:, None, None]
    level_YX = apart_CYX.mean(0)
    like_YX = (-(TINT * (apart_CYX - level_YX).square().mean(0) + level_YX.square() / 4) / ALIKE).exp()
    reach = max(1, round(NECK * size**0.5))
    near_YX = nnf.max_pool2d(face_YX[None], 2 * reach + 1, 1, reach)[0]
    around_YX = sure(covers["person"]) * (1 - sure(covers["hair"])) * near_YX
    return torch.maximum(face_YX, around_YX * like_YX)


def sure(cover_YX: Tensor) -> Tensor:
    """A cover of which what is unsure is all or nothing."""
    return ((cover_YX - UNSURE) / (1 - 2 * UNSURE)).clamp(0, 1)


def recoloured(
    picture_CYX: Tensor, cover_YX: Tensor, part: str, name: str, usual: float | None = None, level: float | None = None
) -> Tensor:
    """[C, Y, X] in 0..1: a picture in 0..1 whose covered hair or clothes have the named colour.

    `usual` is how much light there is, as a face tells it; without one the whole picture does. `level` is the mean
    luminance that what is covered is to have; without one its dye and its light tell it.
    A colour that the part's table does not have is taken from the other one.
    """
    if float(cover_YX.sum()) < 1:
        return picture_CYX
    table = TABLES[part]
    wanted_C = torch.tensor(table[name] if name in table else {**CLOTHES_COLORS, **HAIR_COLORS}[name])
    linear_CYX = to_linear(picture_CYX)
    inner_YX = -nnf.max_pool2d(-cover_YX[None], 3, 1, 1)[0]  # its edge shows what is beside it, too
    inner_YX = inner_YX if float(inner_YX.sum()) > INNER * float(cover_YX.sum()) else cover_YX
    mean_C = (linear_CYX * inner_YX).sum((1, 2)) / inner_YX.sum()
    usual = float(_luminance(linear_CYX).mean()) / MIDDLE if usual is None else usual
    likely = [table[dye] for dye in LIKELY.get(part, table)]
    light_C = _light(mean_C, torch.tensor(likely), usual, TINTED[part])
    old_C = mean_C / light_C
    rise = float((wanted_C @ LUMINANCE) / (old_C @ LUMINANCE).clamp(min=1e-4))
    if rise > LIFT:  # what is dark tells little of its light
        light_C = light_C * max(1.0, usual / float(light_C.mean())) ** 0.5
    flat, lowest, highest = min(1.0, (LIFT / rise) ** FLATTER), *SHADES[part]
    highest = 1 + (highest - 1) * min(1.0, LIFT / rise) ** 2  # what is brighter at the edge of dark hair is not hair
    shade_YX = _luminance(linear_CYX) / _luminance(mean_C[:, None, None]).clamp(min=1e-5)
    shade_YX = shade_YX.clamp(lowest, highest) ** flat
    if part == "hair" and rise > LIFT:  # or a rim of the old colour is left
        cover_YX = nnf.max_pool2d(cover_YX[None], 3, 1, 1)[0]
    gain = BRIGHTER if part == "hair" and rise > 1 and name != "black" else 1.0
    new_CYX = (gain * wanted_C * light_C)[:, None, None] * shade_YX
    if level is not None:
        mean = float((_luminance(new_CYX) * inner_YX).sum() / inner_YX.sum())
        new_CYX = new_CYX * min(max(level / max(mean, 1e-5), LEVELS[0]), LEVELS[1])
    return torch.lerp(picture_CYX, to_srgb(new_CYX.clamp(0, 1)), cover_YX)


def _light(mean_C: Tensor, dyes_NC: Tensor, usual: float, tinted: float) -> Tensor:
    """The light that is most likely where a mean of it comes from one of these dyes."""
    log_NC = (mean_C.clamp(min=1e-4) / dyes_NC).log()
    level_N1 = log_NC.mean(1, keepdim=True)
    apart_N = level_N1[:, 0] - math.log(max(usual, 1e-3))
    strange_N = TINT * (log_NC - level_N1).square().mean(1) + apart_N.square()
    best = int(strange_N.argmin())
    light_C: Tensor = torch.lerp(level_N1[best].expand(3), log_NC[best], tinted).exp()
    return light_C


def gains(made_CYX: Tensor, source_CYX: Tensor) -> Tensor:
    """[C, CELLS]: how much more light a drawn picture has than its source, both in 0..1, over coarse cells."""
    made, source = (nnf.interpolate(to_linear(x)[None], CELLS, mode="area")[0] for x in (made_CYX, source_CYX))
    log_CYX = ((made + DARK) / (source + DARK)).clamp(*GAIN).log()
    return torch.lerp(log_CYX.flatten(1).median(1).values[:, None, None], log_CYX, OWN).exp()


def place_light(made_CYX: Tensor, source_CYX: Tensor, person_YX: Tensor) -> Tensor:
    """[2, C, Y, X], of cells: what the light of a drawn picture's place is to its source's, both in 0..1.

    A gain, and what is left to add to it: of what is dark no gain makes another colour. Cells that people cover are as
    those around.
    """
    place_1YX = 1 - sure(person_YX)[None]
    cells = [max(1, side // FINE) for side in person_YX.shape]
    share_1YX = nnf.interpolate(place_1YX[None], cells, mode="area")[0]
    covered_YX = 1 - (share_1YX[0] / BARE).clamp(0, 1)

    def mean(picture_CYX: Tensor) -> Tensor:
        sum_CYX = nnf.interpolate((to_linear(picture_CYX) * place_1YX)[None], cells, mode="area")[0]
        return filled(sum_CYX / share_1YX.clamp(min=1e-3), covered_YX)

    made, source = mean(made_CYX), mean(source_CYX)
    gain_CYX = ((made + DARK) / (source + DARK)).clamp(GAIN[0], BRIGHTEST)
    return torch.stack([gain_CYX, made - source * gain_CYX])


def relit(
    picture_CYX: Tensor, gains_CYX: Tensor, place_2CYX: Tensor | None = None, person_YX: Tensor | None = None
) -> Tensor:
    """[C, Y, X] in 0..1: a picture with so much more light, softly from cell to cell; its place as `place` says."""
    size, linear_CYX = picture_CYX.shape[1:], to_linear(picture_CYX)

    def smooth(cells_CYX: Tensor) -> Tensor:
        return nnf.interpolate(cells_CYX[None], size, mode="bicubic", align_corners=False)[0]

    lit_CYX = linear_CYX * smooth(gains_CYX.log()).exp()
    if place_2CYX is not None and person_YX is not None:
        place_CYX = linear_CYX * smooth(place_2CYX[0].log()).exp() + smooth(place_2CYX[1])
        lit_CYX = torch.lerp(place_CYX, lit_CYX, sure(person_YX))
    return to_srgb(lit_CYX.clamp(0, 1))


def _luminance(linear_CYX: Tensor) -> Tensor:
    return torch.einsum("c,cyx->yx", LUMINANCE, linear_CYX)


def to_linear(srgb: Tensor) -> Tensor:
    """sRGB in 0..1 to linear light (IEC 61966-2-1)."""
    return torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: Tensor) -> Tensor:
    """Linear light in 0..1 to sRGB (as above)."""
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp(min=1e-8) ** (1 / 2.4) - 0.055)
