//! Lines, areas and text in a picture, and the picture as SVG and PNG. The only file that names
//! kuva. Its scene and backends are used, its axes and plots are not: text is unreadable on their
//! dark cells, and they have no room for error bars.

use kuva::PngBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

use super::style::{INK, Rgb};

/// Minimum width of PNGs in pixels.
const MIN_PIXELS: f64 = 1800.0;
/// The viewer of an SVG chooses its font: the one by which widths are measured, or a similar one.
const FONTS: &str = "DejaVu Sans, Verdana, Arial, Helvetica, sans-serif";

/// A picture in both formats.
#[derive(Clone, Debug)]
pub struct Picture {
    /// As SVG.
    pub svg: String,
    /// As PNG.
    pub png: Vec<u8>,
}

/// A picture that could not be drawn, which is always a bug in pentagrid.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the picture of {width} by {height}: {message}")]
pub struct PlotError {
    width: f64,
    height: f64,
    message: String,
}

/// A place in a picture, from the top left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Xy {
    pub x: f64,
    pub y: f64,
}

/// The place at `x` and `y`.
pub(super) fn xy(x: f64, y: f64) -> Xy {
    Xy { x, y }
}

impl Xy {
    fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite()
    }

    fn distance(self, to: Self) -> f64 {
        (to.x - self.x).hypot(to.y - self.y)
    }

    /// The place at a part of the way to another.
    fn towards(self, to: Self, part: f64) -> Self {
        xy(
            self.x + (to.x - self.x) * part,
            self.y + (to.y - self.y) * part,
        )
    }
}

/// A rectangle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// Colour and width of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Line {
    pub colour: Rgb,
    pub width: f64,
}

/// A line of that colour and width.
pub(super) fn line(colour: Rgb, width: f64) -> Line {
    Line { colour, width }
}

/// Horizontal alignment of text to its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// How text is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Font {
    pub size: u32,
    pub align: Align,
    /// Clockwise, in degrees.
    pub turn: Option<f64>,
    pub colour: Rgb,
}

impl Font {
    /// Upright text in the colour of ink.
    pub(crate) fn new(size: u32, align: Align) -> Self {
        Self {
            size,
            align,
            turn: None,
            colour: INK,
        }
    }

    /// The same, turned clockwise by some degrees.
    #[must_use]
    pub(crate) fn turned(self, degrees: f64) -> Self {
        Self {
            turn: Some(degrees),
            ..self
        }
    }

    /// The same in another colour.
    #[must_use]
    pub(crate) fn coloured(self, colour: Rgb) -> Self {
        Self { colour, ..self }
    }
}

/// A picture that is being drawn. Items at places that are not finite are not drawn.
pub(super) struct Canvas {
    scene: Scene,
}

impl Canvas {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        let mut scene = Scene::new(width, height);
        scene.font_family = Some(FONTS.to_owned());
        Self { scene }
    }

    /// Draws a solid line.
    pub(crate) fn line(&mut self, from: Xy, to: Xy, line: Line) {
        self.polyline(&[from, to], line, &[]);
    }

    /// Draws a line through points. `dashes` are the lengths of dashes and gaps in widths of the
    /// line; empty for a solid line.
    pub(crate) fn polyline(&mut self, points: &[Xy], line: Line, dashes: &[f64]) {
        if points.len() < 2 || !points.iter().all(|point| point.is_finite()) {
            return;
        }
        if dashes.is_empty() {
            self.stroke(points, line);
            return;
        }

        // Cut here, because kuva's PNGs would begin the dashes again at every point.
        let lengths: Vec<f64> = dashes.iter().map(|dash| dash * line.width).collect();
        for dash in cut_into_dashes(points, &lengths) {
            self.stroke(&dash, line);
        }
    }

    fn stroke(&mut self, points: &[Xy], line: Line) {
        self.scene.add(Primitive::PolyLine {
            points: points.iter().map(|point| (point.x, point.y)).collect(),
            stroke: colour(line.colour),
            stroke_width: line.width,
            stroke_dasharray: None,
        });
    }

    /// Fills an area.
    pub(crate) fn area(&mut self, corners: &[Xy], fill: Rgb, opacity: f64) {
        if corners.len() < 3 || !corners.iter().all(|corner| corner.is_finite()) {
            return;
        }

        let mut path = String::new();
        for (number, corner) in corners.iter().enumerate() {
            let command = if number == 0 { 'M' } else { 'L' };
            path.push_str(&format!("{command} {:.2} {:.2} ", corner.x, corner.y));
        }
        path.push('Z');

        self.scene.add(Primitive::Path(Box::new(PathData {
            d: path,
            fill: Some(colour(fill)),
            stroke: Color::None,
            stroke_width: 0.0,
            opacity: Some(opacity),
            stroke_dasharray: None,
        })));
    }

    /// Draws a rectangle, filled, framed, or both.
    pub(crate) fn rect(&mut self, rect: Rect, fill: Option<Rgb>, frame: Option<Line>) {
        self.scene.add(Primitive::Rect {
            x: rect.left,
            y: rect.top,
            width: rect.width,
            height: rect.height,
            fill: fill.map_or(Color::None, colour),
            stroke: frame.map(|frame| colour(frame.colour)),
            stroke_width: frame.map(|frame| frame.width),
            opacity: None,
        });
    }

    /// Draws a disk.
    pub(crate) fn disk(&mut self, centre: Xy, radius: f64, fill: Rgb, opacity: f64) {
        if !centre.is_finite() {
            return;
        }
        self.scene.add(Primitive::Circle {
            cx: centre.x,
            cy: centre.y,
            r: radius,
            fill: colour(fill),
            fill_opacity: Some(opacity),
            stroke: None,
            stroke_width: None,
        });
    }

    /// Writes text.
    pub(crate) fn text(&mut self, place: Xy, text: &str, font: Font) {
        let anchor = match font.align {
            Align::Start => TextAnchor::Start,
            Align::Middle => TextAnchor::Middle,
            Align::End => TextAnchor::End,
        };

        self.scene.add(Primitive::Text {
            x: place.x,
            y: place.y,
            // Between two dollar signs kuva would read TeX.
            content: text.replace('$', "\\$"),
            size: font.size,
            anchor,
            rotate: font.turn,
            bold: false,
            color: Some(colour(font.colour)),
        });
    }

    /// Returns the picture in both formats.
    ///
    /// # Errors
    /// `PlotError`, if the picture has no area.
    pub(crate) fn finish(self) -> Result<Picture, PlotError> {
        let scale = (MIN_PIXELS / self.scene.width).max(2.0);
        let png = PngBackend::new()
            .with_scale(scale as f32)
            .render_scene(&self.scene)
            .map_err(|message| PlotError {
                width: self.scene.width,
                height: self.scene.height,
                message,
            })?;
        let svg = SvgBackend::new()
            .with_pretty(true)
            .render_scene(&self.scene);
        Ok(Picture { svg, png })
    }
}

fn colour(Rgb(r, g, b): Rgb) -> Color {
    Color::Rgb(r, g, b)
}

/// Cuts a line through points into its dashes. `lengths` are those of dashes and gaps in turn.
fn cut_into_dashes(points: &[Xy], lengths: &[f64]) -> Vec<Vec<Xy>> {
    let mut dashes = Vec::new();
    let mut number = 0;
    let mut rest = lengths[0];
    let mut piece = vec![points[0]];
    for pair in points.windows(2) {
        let mut from = pair[0];
        let to = pair[1];
        loop {
            let distance = from.distance(to);
            if distance <= rest {
                rest -= distance;
                piece.push(to);
                break;
            }

            // The dash or gap ends on the way to the next point.
            from = from.towards(to, rest / distance);
            piece.push(from);
            let finished = std::mem::replace(&mut piece, vec![from]);
            if number % 2 == 0 {
                dashes.push(finished);
            }
            number = (number + 1) % lengths.len();
            rest = lengths[number];
        }
    }
    if number % 2 == 0 && piece.len() > 1 {
        dashes.push(piece);
    }
    dashes
}
