//! A table with a header, as CSV: Lightning's `metrics.csv`, Keras' `CSVLogger`, fastai. A blank
//! cell says nothing.

use csv::{ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::damage::{Damage, Flaw};
use super::log::Entry;

/// Maximum length of a row, in bytes.
const MAX_ROW: usize = 1 << 20;
/// What may stand between the cells; the first of these that the header has.
const DELIMITERS: [u8; 3] = [b',', b'\t', b';'];

/// Reads a table as it grows.
#[derive(Debug, Default)]
pub(super) struct CsvTable {
    /// A row that has not ended.
    rest: Vec<u8>,
    /// How much of `rest` was searched for its end.
    searched: usize,
    /// Whether the search is within a quoted cell.
    is_quoted: bool,
    /// The byte of the file that `rest` begins with.
    offset: u64,
    lines: u64,
    header: Option<Header>,
}

#[derive(Debug)]
struct Header {
    names: StringRecord,
    delimiter: u8,
}

impl CsvTable {
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.rest.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.rest);
        let mut begin = 0;
        let mut result = Ok(());
        for at in self.searched..buffer.len() {
            match buffer[at] {
                b'"' => self.is_quoted = !self.is_quoted,
                b'\n' if !self.is_quoted => {
                    result = self.row(&buffer[begin..at], self.offset + begin as u64, take);
                    begin = at + 1;
                    if result.is_err() {
                        break;
                    }
                }
                _ => {}
            }
        }

        self.rest = buffer;
        self.rest.drain(..begin);
        self.offset += begin as u64;
        self.searched = self.rest.len();
        result?;
        if self.rest.len() > MAX_ROW {
            return Err(Flaw::TooLarge(MAX_ROW).at(self.offset));
        }
        Ok(())
    }

    /// Takes a last row without a newline.
    pub(super) fn finish(
        &mut self,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        let rest = std::mem::take(&mut self.rest);
        self.searched = 0;
        if self.is_quoted {
            return Err(Flaw::NotCsv(self.lines + 1).at(self.offset));
        }
        self.row(&rest, self.offset, take)
    }

    fn row(
        &mut self,
        line: &[u8],
        place: u64,
        take: &mut dyn FnMut(Entry) -> Result<(), Flaw>,
    ) -> Result<(), Damage> {
        self.lines += 1;
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        let delimiter = self
            .header
            .as_ref()
            .map_or_else(|| delimiter_of(line), |header| header.delimiter);
        let cells = cells(line, delimiter).ok_or_else(|| Flaw::NotCsv(self.lines).at(place))?;
        let Some(header) = &self.header else {
            self.header = Some(Header {
                names: cells,
                delimiter,
            });
            return Ok(());
        };

        // A script that continues with its table may write the header again.
        if cells == header.names {
            return Ok(());
        }
        if cells.len() > header.names.len() {
            let flaw = Flaw::TooManyCells {
                line: self.lines,
                cells: cells.len(),
                columns: header.names.len(),
            };
            return Err(flaw.at(place));
        }
        let named = header.names.iter().zip(&cells);
        let values: Map<String, Value> = named
            .filter(|(name, cell)| !name.is_empty() && !cell.is_empty())
            .map(|(name, cell)| (name.to_owned(), Value::from(cell)))
            .collect();
        take(Entry::Row(values)).map_err(|flaw| flaw.at(place))
    }
}

fn delimiter_of(header: &[u8]) -> u8 {
    DELIMITERS
        .into_iter()
        .find(|delimiter| header.contains(delimiter))
        .unwrap_or(b',')
}

/// The cells of a row; None if it is not UTF-8.
fn cells(line: &[u8], delimiter: u8) -> Option<StringRecord> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(line);
    let mut record = StringRecord::new();
    reader.read_record(&mut record).ok()?.then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rows of a table that comes in pieces of `piece` bytes, as JSON.
    fn read(text: &[u8], piece: usize) -> Result<Vec<String>, Damage> {
        let mut table = CsvTable::default();
        let mut rows = Vec::new();
        let mut take = |entry| {
            let Entry::Row(values) = entry else {
                panic!("{entry:?}")
            };
            rows.push(Value::Object(values).to_string());
            Ok(())
        };
        for piece in text.chunks(piece) {
            table.feed(piece, &mut take)?;
        }
        table.finish(&mut take)?;
        Ok(rows)
    }

    #[test]
    fn blank_cells_say_nothing() {
        let lightning = "epoch,step,train_loss,val_acc\n0,1,0.9,\n0,1,,0.5\r\n1,3,nan,\n";
        assert_eq!(
            read(lightning.as_bytes(), 7).unwrap(),
            [
                r#"{"epoch":"0","step":"1","train_loss":"0.9"}"#,
                r#"{"epoch":"0","step":"1","val_acc":"0.5"}"#,
                r#"{"epoch":"1","step":"3","train_loss":"nan"}"#,
            ]
        );
    }

    #[test]
    fn tables_of_other_programs_are_read() {
        let spreadsheet = "\u{feff}epoch;\"val; acc\";;note\n1;0,5;9;\"a\nb\"\"\"\nepoch;\"val; acc\";;note\n2; 0.7";
        assert_eq!(
            read(spreadsheet.as_bytes(), 100).unwrap(),
            [
                r#"{"epoch":"1","val; acc":"0,5","note":"a\nb\""}"#,
                r#"{"epoch":"2","val; acc":"0.7"}"#,
            ]
        );
        assert_eq!(
            read(b"epoch\tloss\n\n1\t0.5\n", 1).unwrap(),
            [r#"{"epoch":"1","loss":"0.5"}"#]
        );
        assert_eq!(read(b"", 1).unwrap(), [""; 0]);
    }

    #[test]
    fn damaged_tables_are_refused_with_their_place() {
        let error = |text: &[u8]| read(text, 1000).unwrap_err().to_string();
        assert_eq!(
            error(b"epoch,loss\n1,2,3\n"),
            "line 2 has 3 cells, and the table 2 columns at byte 11"
        );
        assert_eq!(
            error(b"epoch,loss\n1,\"2\n3,4\n"),
            "line 2 is not UTF-8 text or has a quote that does not end at byte 11"
        );
        assert_eq!(
            error(b"epoch,loss\n1,\xff\n"),
            "line 2 is not UTF-8 text or has a quote that does not end at byte 11"
        );
        assert_eq!(
            error(&[b'x'; MAX_ROW + 1]),
            "a part is larger than 1048576 bytes at byte 0"
        );
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[a,\"\n\r;0-9 ]{0,80}", piece in 1_usize..9) {
            prop_assert_eq!(read(text.as_bytes(), piece), read(text.as_bytes(), 1000));
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let _ = read(&bytes, 5);
        }
    }
}
