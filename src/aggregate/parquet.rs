//! Writes columns as a Parquet file, for `export`. Only this file and `stats` name Polars.

use std::io::Write;

use polars::prelude::{Column as Series, DataFrame, IntoColumn, NamedFrom, PolarsError};
use polars_io::parquet::write::{BatchedWriter, ParquetWriter};

/// A column; missing values are null.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Numbers.
    Float(Vec<Option<f64>>),
    /// `true` and `false`.
    Bool(Vec<Option<bool>>),
    /// Text.
    Text(Vec<Option<String>>),
}

impl Column {
    fn named(self, name: &str) -> Series {
        let name = name.into();
        match self {
            Self::Int(values) => polars::prelude::Series::new(name, values).into_column(),
            Self::Float(values) => polars::prelude::Series::new(name, values).into_column(),
            Self::Bool(values) => polars::prelude::Series::new(name, values).into_column(),
            Self::Text(values) => polars::prelude::Series::new(name, values).into_column(),
        }
    }
}

/// A Parquet file that could not be written.
pub type ParquetError = PolarsError;

/// Writes columns, which must have equal lengths and different names.
///
/// # Errors
/// `ParquetError`, if the columns do not fit together or writing fails.
pub fn write_parquet(columns: Vec<(String, Column)>, to: impl Write) -> Result<(), ParquetError> {
    let mut frame = frame(columns)?;
    ParquetWriter::new(to).finish(&mut frame)?;
    Ok(())
}

/// A Parquet file that is written one group of rows at a time, to save memory.
pub struct ParquetFile<W: Write>(BatchedWriter<W>);

impl<W: Write> ParquetFile<W> {
    /// Begins a file with the names and types of these columns; their values are ignored.
    ///
    /// # Errors
    /// As `write_parquet`.
    pub fn new(to: W, columns: Vec<(String, Column)>) -> Result<Self, ParquetError> {
        Ok(Self(
            ParquetWriter::new(to).batched(frame(columns)?.schema())?,
        ))
    }

    /// Writes a group of rows, with the columns that the file has.
    ///
    /// # Errors
    /// As `write_parquet`.
    pub fn write(&mut self, columns: Vec<(String, Column)>) -> Result<(), ParquetError> {
        self.0.write_batch(&frame(columns)?)
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    /// As `write_parquet`.
    pub fn finish(self) -> Result<(), ParquetError> {
        self.0.finish().map(drop)
    }
}

fn frame(columns: Vec<(String, Column)>) -> Result<DataFrame, ParquetError> {
    DataFrame::new_infer_height(
        columns
            .into_iter()
            .map(|(name, column)| column.named(&name))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::AnyValue;
    use polars_io::SerReader;
    use polars_io::parquet::read::ParquetReader;

    #[test]
    fn columns_are_read_back_with_their_types_and_nulls() {
        let columns = vec![
            ("seed".to_owned(), Column::Int(vec![Some(i64::MAX), None])),
            (
                "loss".to_owned(),
                Column::Float(vec![Some(f64::NAN), Some(0.1)]),
            ),
            ("flag".to_owned(), Column::Bool(vec![None, Some(true)])),
            (
                "name".to_owned(),
                Column::Text(vec![Some("β <b>".into()), None]),
            ),
        ];
        let mut file = std::io::Cursor::new(Vec::new());
        let more = vec![
            ("seed".to_owned(), Column::Int(vec![Some(3)])),
            ("loss".to_owned(), Column::Float(vec![None])),
            ("flag".to_owned(), Column::Bool(vec![None])),
            ("name".to_owned(), Column::Text(vec![Some("c".into())])),
        ];
        let mut groups = ParquetFile::new(&mut file, columns.clone()).unwrap();
        [columns, more]
            .into_iter()
            .for_each(|rows| groups.write(rows).unwrap());
        groups.finish().unwrap();
        let frame = ParquetReader::new(file).finish().unwrap();
        let cell =
            |name: &str, row: usize| frame.column(name).unwrap().get(row).unwrap().into_static();
        assert_eq!(cell("seed", 0), AnyValue::Int64(i64::MAX));
        assert_eq!(cell("seed", 1), AnyValue::Null);
        assert!(matches!(cell("loss", 0), AnyValue::Float64(loss) if loss.is_nan()));
        assert_eq!(cell("loss", 1), AnyValue::Float64(0.1));
        assert_eq!(cell("flag", 1), AnyValue::Boolean(true));
        assert_eq!(cell("name", 0).str_value(), "β <b>");
        assert_eq!(cell("name", 1), AnyValue::Null);
        assert_eq!(
            (frame.height(), cell("seed", 2), cell("loss", 2)),
            (3, AnyValue::Int64(3), AnyValue::Null)
        );
    }
}
