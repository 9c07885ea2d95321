"""Operations keep their colours, and everybody can tell them apart."""

import itertools

import numpy as np
import pytest

from nas.rendering.palette import CHOSEN, WHITE, colour, contrast, text_on

# What each colour-blind eye sees of linear red, green and blue (Machado, Oliveira and Fernandes, 2009, severity 1).
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
OTHERS = ["3x3", "relu", "mbconv_k5_e6", "16", "", "漢", *map(str, range(200))]


def lab(fill: str, sight: np.ndarray) -> np.ndarray:
    channels = np.array([int(fill[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(sight @ linear, 0, 1) / TO_XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_contrast_has_the_values_of_the_guideline():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("operation", [*CHOSEN, *OTHERS])
def test_text_and_lines_stand_out(operation):
    chosen = colour(operation)
    assert contrast(chosen.fill, chosen.text) >= 4.5
    assert contrast(chosen.line, WHITE) >= 3


def test_no_colour_defeats_the_choice_between_black_and_white():
    for red, green, blue in itertools.product(range(0, 256, 15), repeat=3):
        fill = f"#{red:02x}{green:02x}{blue:02x}"
        assert contrast(fill, text_on(fill)) >= 4.5


@pytest.mark.parametrize("sight", SIGHT)
def test_chosen_colours_differ_for_every_eye(sight):
    """2.3 is a just noticeable difference in CIELAB."""
    for first, second in itertools.combinations(CHOSEN.values(), 2):
        assert np.linalg.norm(lab(first, SIGHT[sight]) - lab(second, SIGHT[sight])) > 10


def test_other_names_keep_their_colour_in_every_run():
    assert [colour(name).fill for name in ("3x3", "relu")] == ["#396dac", "#9fb8df"]
    assert len({colour(name).fill for name in OTHERS}) > 0.95 * len(OTHERS)
