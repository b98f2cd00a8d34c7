//! Plain columns as a Parquet file, for `export`: the one place beside `stats` that names Polars.

use std::io::Write;

use polars::prelude::{Column as Series, DataFrame, IntoColumn, NamedFrom, PolarsError};
use polars_io::parquet::write::ParquetWriter;

/// A column; what is missing is null.
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

/// Writes columns of equal length and different names.
///
/// # Errors
/// As the file that is written to.
pub fn write_parquet(columns: Vec<(String, Column)>, to: impl Write) -> Result<(), PolarsError> {
    let columns: Vec<Series> = columns.into_iter().map(|(name, column)| column.named(&name)).collect();
    let mut frame = DataFrame::new_infer_height(columns)?;
    ParquetWriter::new(to).finish(&mut frame)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::AnyValue;
    use polars_io::SerReader;
    use polars_io::parquet::read::ParquetReader;

    #[test]
    fn what_is_written_is_read_back_with_its_types_and_nulls() {
        let columns = vec![
            ("seed".to_owned(), Column::Int(vec![Some(i64::MAX), None])),
            ("loss".to_owned(), Column::Float(vec![Some(f64::NAN), Some(0.1)])),
            ("flag".to_owned(), Column::Bool(vec![None, Some(true)])),
            ("name".to_owned(), Column::Text(vec![Some("β <b>".into()), None])),
        ];
        let mut file = std::io::Cursor::new(Vec::new());
        write_parquet(columns, &mut file).unwrap();
        let frame = ParquetReader::new(file).finish().unwrap();
        let cell = |name: &str, row: usize| frame.column(name).unwrap().get(row).unwrap().into_static();
        assert_eq!(cell("seed", 0), AnyValue::Int64(i64::MAX));
        assert_eq!(cell("seed", 1), AnyValue::Null);
        assert!(matches!(cell("loss", 0), AnyValue::Float64(loss) if loss.is_nan()));
        assert_eq!(cell("loss", 1), AnyValue::Float64(0.1));
        assert_eq!(cell("flag", 1), AnyValue::Boolean(true));
        assert_eq!(cell("name", 0).str_value(), "β <b>");
        assert_eq!(cell("name", 1), AnyValue::Null);
    }
}
