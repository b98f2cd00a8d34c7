//! Colours, lines and markers. Colours are those of Okabe and Ito, which the colour-blind can tell
//! apart, without the yellow, which is hard to see on white paper; line and marker are a second
//! cue. Heat maps go from white to blue.

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rgb(pub u8, pub u8, pub u8);

/// The colour of text, axes and frames.
pub(super) const INK: Rgb = Rgb(0x22, 0x22, 0x22);
/// The colour of grid lines.
pub(super) const GRID: Rgb = Rgb(0xdd, 0xdd, 0xdd);
/// The colour of the frame around the best cell.
pub(super) const FRAME: Rgb = Rgb(0xd5, 0x5e, 0x00);
/// The colour of a cell without a value.
pub(super) const MISSING: Rgb = Rgb(0xec, 0xec, 0xec);
/// The colour of paper.
pub(super) const WHITE: Rgb = Rgb(0xff, 0xff, 0xff);

const COLOURS: [Rgb; 7] = [
    Rgb(0x00, 0x72, 0xb2),
    Rgb(0xd5, 0x5e, 0x00),
    Rgb(0x00, 0x9e, 0x73),
    Rgb(0xcc, 0x79, 0xa7),
    Rgb(0x00, 0x00, 0x00),
    Rgb(0x56, 0xb4, 0xe9),
    Rgb(0xe6, 0x9f, 0x00),
];

/// Lengths of dashes and gaps, in widths of the line; empty for a solid line.
const DASHES: [&[f64]; 5] = [
    &[],
    &[5.0, 2.0],
    &[1.8, 1.6],
    &[6.0, 1.8, 1.6, 1.8],
    &[9.0, 2.4],
];

/// A marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A disk.
    Disk,
    /// A square.
    Square,
    /// A triangle on its base.
    Up,
    /// A diamond.
    Diamond,
    /// A triangle on its tip.
    Down,
    /// A cross.
    Cross,
}

const SHAPES: [Shape; 6] = [
    Shape::Disk,
    Shape::Square,
    Shape::Up,
    Shape::Diamond,
    Shape::Down,
    Shape::Cross,
];

/// How the marks of one series look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Colour.
    pub colour: Rgb,
    /// Dashes of its line.
    pub dashes: &'static [f64],
    /// Its marker.
    pub shape: Shape,
}

impl Style {
    /// The style of the arm of that number, the same in every chart. The first seven arms differ in
    /// colour, and the first 210 in colour, line or marker.
    pub fn of_arm(arm: usize) -> Self {
        Self {
            colour: COLOURS[arm % COLOURS.len()],
            dashes: DASHES[arm % DASHES.len()],
            shape: SHAPES[arm % SHAPES.len()],
        }
    }

    /// The same colour with the line and the marker of another arm.
    #[must_use]
    pub fn with_line_of(self, number: usize) -> Self {
        Self {
            colour: self.colour,
            ..Self::of_arm(number)
        }
    }

    /// The style of a second series of an arm: grey, or light grey beside black.
    pub fn second_to(style: Self) -> Self {
        let colour = if style.colour == Rgb(0, 0, 0) {
            Rgb(0x8c, 0x8c, 0x8c)
        } else {
            Rgb(0x55, 0x55, 0x55)
        };
        Self {
            colour,
            dashes: DASHES[1],
            shape: Shape::Square,
        }
    }

    /// The style of a series that belongs to no arm.
    pub fn neutral() -> Self {
        Self {
            colour: Rgb(0x77, 0x77, 0x77),
            dashes: DASHES[1],
            shape: Shape::Square,
        }
    }
}

/// Nearly white to blue, after ColorBrewer's Blues, as far as dark text is readable on them.
const BLUES: [Rgb; 6] = [
    Rgb(0xf3, 0xf8, 0xfd),
    Rgb(0xde, 0xeb, 0xf7),
    Rgb(0xc6, 0xdb, 0xef),
    Rgb(0x9e, 0xca, 0xe1),
    Rgb(0x6b, 0xae, 0xd6),
    Rgb(0x45, 0x98, 0xcb),
];

/// The colour at a part of the way from the worst (0) to the best (1).
pub(super) fn heat(part: f64) -> Rgb {
    let place = part.clamp(0.0, 1.0) * (BLUES.len() - 1) as f64;
    let index = (place.floor() as usize).min(BLUES.len() - 2);
    mix(BLUES[index], BLUES[index + 1], place - index as f64)
}

/// The colour at a part of the way from one to another.
fn mix(from: Rgb, to: Rgb, part: f64) -> Rgb {
    Rgb(
        mix_channel(from.0, to.0, part),
        mix_channel(from.1, to.1, part),
        mix_channel(from.2, to.2, part),
    )
}

fn mix_channel(from: u8, to: u8, part: f64) -> u8 {
    (f64::from(from) + (f64::from(to) - f64::from(from)) * part).round() as u8
}

/// Relative luminance, from 0 to 1 (WCAG 2.1).
fn luminance(colour: Rgb) -> f64 {
    0.2126 * linear_channel(colour.0)
        + 0.7152 * linear_channel(colour.1)
        + 0.0722 * linear_channel(colour.2)
}

fn linear_channel(channel: u8) -> f64 {
    let channel = f64::from(channel) / 255.0;
    if channel <= 0.04045 {
        channel / 12.92
    } else {
        ((channel + 0.055) / 1.055).powf(2.4)
    }
}

/// The contrast of two luminances (WCAG 2.1).
fn contrast(a: f64, b: f64) -> f64 {
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The colour of text on a ground: ink or white, the one with more contrast.
pub(super) fn text_on(ground: Rgb) -> Rgb {
    let ground = luminance(ground);
    if contrast(ground, luminance(INK)) >= contrast(ground, luminance(WHITE)) {
        INK
    } else {
        WHITE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_arms_differ_in_more_than_colour() {
        let styles: Vec<Style> = (0..210).map(Style::of_arm).collect();
        for (i, a) in styles.iter().enumerate() {
            assert!(styles[i + 1..].iter().all(|b| a != b));
        }
        for (i, a) in styles[..5].iter().enumerate() {
            assert!(
                styles[i + 1..5]
                    .iter()
                    .all(|b| a.colour != b.colour && a.dashes != b.dashes && a.shape != b.shape)
            );
        }
    }

    #[test]
    fn text_is_readable_on_every_cell() {
        for step in 0..=100 {
            let ground = heat(f64::from(step) / 100.0);
            let contrast = contrast(luminance(ground), luminance(text_on(ground)));
            assert!(contrast >= 4.5, "{step}: {contrast}");
        }
    }
}
