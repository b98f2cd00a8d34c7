//! Lines, areas and text in a picture, and the picture as SVG and PNG. The only file that names
//! kuva: its axes and plots are not used (no readable text on dark cells, no room for error bars),
//! its scene and backends are.

use kuva::PngBackend;
use kuva::backend::svg::SvgBackend;
use kuva::render::color::Color;
use kuva::render::render::{PathData, Primitive, Scene, TextAnchor};

use super::style::{Rgb, WHITE};

/// Width in pixels that PNGs have at least.
const LEAST_PIXELS: f64 = 1800.0;
/// SVGs leave the font to whoever shows them: the one that widths are measured in, and its likes.
const FONTS: &str = "DejaVu Sans, Verdana, Arial, Helvetica, sans-serif";

/// A picture in both formats.
#[derive(Clone, Debug)]
pub struct Picture {
    /// As SVG.
    pub svg: String,
    /// As PNG.
    pub png: Vec<u8>,
}

/// A picture that could not be drawn: always a bug of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot draw the picture of {width} by {height}: {message}")]
pub struct PlotError {
    width: f64,
    height: f64,
    message: String,
}

/// Where text stands by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Start,
    Middle,
    End,
}

/// A picture that is being drawn. Coordinates are from the top left; whatever is not finite is not
/// drawn.
pub(super) struct Canvas {
    scene: Scene,
}

fn colour(Rgb(r, g, b): Rgb) -> Color {
    Color::Rgb(r, g, b)
}

fn finite(points: &[(f64, f64)]) -> bool {
    points.iter().all(|(x, y)| x.is_finite() && y.is_finite())
}

impl Canvas {
    pub fn new(width: f64, height: f64) -> Self {
        let mut scene = Scene::new(width, height);
        scene.font_family = Some(FONTS.to_owned());
        Self { scene }
    }

    /// A line drawn through.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Rgb, width: f64) {
        self.polyline(&[from, to], stroke, width, &[]);
    }

    /// A line through points. Dashes are cut here, since kuva's PNGs would begin them anew at every
    /// point.
    pub fn polyline(&mut self, points: &[(f64, f64)], stroke: Rgb, width: f64, dashes: &[f64]) {
        if points.len() < 2 || !finite(points) {
            return;
        }
        if dashes.is_empty() {
            self.stroke(points.to_vec(), stroke, width);
            return;
        }
        let lengths: Vec<f64> = dashes.iter().map(|dash| dash * width).collect();
        let (mut dash, mut left, mut piece) = (0, lengths[0], vec![points[0]]);
        for pair in points.windows(2) {
            let (mut from, to) = (pair[0], pair[1]);
            loop {
                let length = (to.0 - from.0).hypot(to.1 - from.1);
                if length <= left {
                    left -= length;
                    piece.push(to);
                    break;
                }
                let part = left / length;
                from = (
                    from.0 + (to.0 - from.0) * part,
                    from.1 + (to.1 - from.1) * part,
                );
                piece.push(from);
                if dash % 2 == 0 {
                    self.stroke(std::mem::take(&mut piece), stroke, width);
                }
                piece = vec![from];
                dash = (dash + 1) % lengths.len();
                left = lengths[dash];
            }
        }
        if dash % 2 == 0 && piece.len() > 1 {
            self.stroke(piece, stroke, width);
        }
    }

    fn stroke(&mut self, points: Vec<(f64, f64)>, stroke: Rgb, width: f64) {
        self.scene.add(Primitive::PolyLine {
            points,
            stroke: colour(stroke),
            stroke_width: width,
            stroke_dasharray: None,
        });
    }

    /// A filled area.
    pub fn area(&mut self, points: &[(f64, f64)], fill: Rgb, opacity: f64) {
        if points.len() < 3 || !finite(points) {
            return;
        }
        let mut d = String::new();
        for (number, (x, y)) in points.iter().enumerate() {
            d.push_str(&format!(
                "{} {x:.2} {y:.2} ",
                if number == 0 { 'M' } else { 'L' }
            ));
        }
        d.push('Z');
        self.scene.add(Primitive::Path(Box::new(PathData {
            d,
            fill: Some(colour(fill)),
            stroke: Color::None,
            stroke_width: 0.0,
            opacity: Some(opacity),
            stroke_dasharray: None,
        })));
    }

    /// A filled rectangle, with a frame if a colour and a width are given.
    pub fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        fill: Option<Rgb>,
        frame: Option<(Rgb, f64)>,
    ) {
        self.scene.add(Primitive::Rect {
            x,
            y,
            width,
            height,
            fill: fill.map_or(Color::None, colour),
            stroke: frame.map(|(stroke, _)| colour(stroke)),
            stroke_width: frame.map(|(_, width)| width),
            opacity: None,
        });
    }

    /// A disk, with a white rim where it must stand out.
    pub fn disk(&mut self, (cx, cy): (f64, f64), r: f64, fill: Rgb, opacity: f64, rim: bool) {
        if finite(&[(cx, cy)]) {
            self.scene.add(Primitive::Circle {
                cx,
                cy,
                r,
                fill: colour(fill),
                fill_opacity: Some(opacity),
                stroke: rim.then(|| colour(WHITE)),
                stroke_width: rim.then_some(1.0),
            });
        }
    }

    /// Text; `turn` is in degrees, clockwise.
    pub fn text(
        &mut self,
        (x, y): (f64, f64),
        text: &str,
        size: u32,
        align: Align,
        turn: Option<f64>,
        ink: Rgb,
    ) {
        let anchor = match align {
            Align::Start => TextAnchor::Start,
            Align::Middle => TextAnchor::Middle,
            Align::End => TextAnchor::End,
        };
        // Between two dollar signs kuva would read TeX.
        let content = text.replace('$', "\\$");
        self.scene.add(Primitive::Text {
            x,
            y,
            content,
            size,
            anchor,
            rotate: turn,
            bold: false,
            color: Some(colour(ink)),
        });
    }

    /// The picture in both formats.
    ///
    /// # Errors
    /// `PlotError`, if there is nothing to draw on.
    pub fn finish(self) -> Result<Picture, PlotError> {
        let scale = (LEAST_PIXELS / self.scene.width).max(2.0);
        let png = PngBackend::new()
            .with_scale(scale as f32)
            .render_scene(&self.scene)
            .map_err(|message| PlotError {
                width: self.scene.width,
                height: self.scene.height,
                message,
            })?;
        Ok(Picture {
            svg: SvgBackend::new()
                .with_pretty(true)
                .render_scene(&self.scene),
            png,
        })
    }
}
