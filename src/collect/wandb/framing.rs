//! The framing of a W&B file: LevelDB's log format behind a header of its own. The file is a
//! sequence of blocks of 32 KiB, counted from its first byte. A record lies in one or more
//! fragments, each in one block.

use std::ops::Range;

use crate::collect::damage::{Damage, Flaw};

/// Length of a block, in bytes.
const BLOCK: u64 = 32_768;
/// What a file begins with: a name, a magic number, and the version of the format.
const HEADER: [u8; 7] = [b':', b'W', b'&', b'B', 0xe1, 0xbe, 0];
/// Length of what stands before a fragment: its checksum, its length, its type.
const FRAGMENT_HEADER: usize = 7;
/// Maximum length of a record, in bytes. Media lie in files of their own, and a record has at most
/// a few values of a thousand metrics.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// Takes records out of a file as it grows.
#[derive(Debug, Default)]
pub(super) struct LogReader {
    /// What has not been taken apart.
    buffer: Vec<u8>,
    /// The byte of the file that `buffer` begins with.
    offset: u64,
    /// The fragments of a record that has begun, and where it began.
    begun: Option<(u64, Vec<u8>)>,
}

/// A whole record, and the byte of the file at which it begins.
pub(super) struct Record<'a> {
    pub bytes: &'a [u8],
    pub offset: u64,
}

/// A fragment in the buffer.
struct Fragment {
    kind: u8,
    checksum: u32,
    /// Its type and its data: what the checksum is of.
    checked: Range<usize>,
}

impl Fragment {
    fn data(&self) -> Range<usize> {
        self.checked.start + 1..self.checked.end
    }
}

impl LogReader {
    /// Takes what was added to the file, and passes each complete record to `take`.
    ///
    /// # Errors
    /// If the file is damaged, or `take` refuses a record.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(Record<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        self.buffer.extend_from_slice(bytes);
        let buffer = std::mem::take(&mut self.buffer);
        let mut at = 0;
        let mut result = Ok(());
        loop {
            match self.step(&buffer, &mut at, &mut take) {
                Ok(true) => {}
                Ok(false) => break,
                Err(damage) => {
                    result = Err(damage);
                    break;
                }
            }
        }

        self.buffer = buffer;
        self.buffer.drain(..at);
        self.offset += at as u64;
        result
    }

    /// Checks that the file does not end within a record.
    ///
    /// # Errors
    /// If it does.
    pub(super) fn finish(&self) -> Result<(), Damage> {
        if let Some((begin, _)) = &self.begun {
            return Err(Flaw::CutOff.at(*begin));
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        Err(Flaw::CutOff.at(self.offset))
    }

    /// Takes one fragment from the buffer, or skips the end of a block. Returns false if more bytes
    /// are needed.
    fn step(
        &mut self,
        buffer: &[u8],
        at: &mut usize,
        take: &mut impl FnMut(Record<'_>) -> Result<(), Damage>,
    ) -> Result<bool, Damage> {
        let place = self.offset + *at as u64;
        let rest = &buffer[*at..];
        if place == 0 {
            let length = rest.len().min(HEADER.len());
            if rest[..length] != HEADER[..length] {
                return Err(Flaw::Foreign("a file of W&B").at(0));
            }
            *at += if length == HEADER.len() { length } else { 0 };
            return Ok(length == HEADER.len());
        }

        let left = (BLOCK - place % BLOCK) as usize;
        if left < FRAGMENT_HEADER {
            // The end of a block that is too short for a fragment is not used.
            if rest.len() < left {
                return Ok(false);
            }
            *at += left;
            return Ok(true);
        }

        let Some(fragment) = fragment(rest, left, place)? else {
            return Ok(false);
        };
        let checked = &rest[fragment.checked.clone()];
        if crc32fast::hash(checked) != fragment.checksum {
            return Err(Flaw::Checksum.at(place));
        }
        self.join(fragment.kind, &rest[fragment.data()], place, take)?;
        *at += fragment.checked.end;
        Ok(true)
    }

    /// Adds a fragment to the record that it belongs to, and passes the record on if it is complete.
    fn join(
        &mut self,
        kind: u8,
        data: &[u8],
        place: u64,
        take: &mut impl FnMut(Record<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        const FULL: u8 = 1;
        const FIRST: u8 = 2;
        const MIDDLE: u8 = 3;
        const LAST: u8 = 4;

        match (kind, self.begun.take()) {
            (FULL, None) => take(Record {
                bytes: data,
                offset: place,
            }),
            (FIRST, None) => {
                self.begun = Some((place, data.to_vec()));
                Ok(())
            }
            (MIDDLE | LAST, Some((begin, mut record))) => {
                if record.len() + data.len() > MAX_RECORD {
                    return Err(Flaw::TooLarge(MAX_RECORD).at(begin));
                }
                record.extend_from_slice(data);
                if kind == MIDDLE {
                    self.begun = Some((begin, record));
                    return Ok(());
                }
                take(Record {
                    bytes: &record,
                    offset: begin,
                })
            }
            _ => Err(Flaw::Framing.at(place)),
        }
    }
}

/// The fragment at the beginning of `bytes`; None if it has not come whole. `left` is the rest of
/// the block, `place` the byte of the file.
fn fragment(bytes: &[u8], left: usize, place: u64) -> Result<Option<Fragment>, Damage> {
    let Some(header) = bytes.first_chunk::<FRAGMENT_HEADER>() else {
        return Ok(None);
    };
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length > left - FRAGMENT_HEADER {
        return Err(Flaw::Framing.at(place));
    }
    if bytes.len() < FRAGMENT_HEADER + length {
        return Ok(None);
    }
    Ok(Some(Fragment {
        kind,
        checksum: u32::from_le_bytes([c0, c1, c2, c3]),
        checked: FRAGMENT_HEADER - 1..FRAGMENT_HEADER + length,
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A file with these records.
    pub(crate) fn file(records: &[Vec<u8>]) -> Vec<u8> {
        let mut file = HEADER.to_vec();
        for record in records {
            let mut rest = &record[..];
            let mut is_first = true;
            loop {
                let left = (BLOCK - file.len() as u64 % BLOCK) as usize;
                if left < FRAGMENT_HEADER {
                    file.resize(file.len() + left, 0);
                    continue;
                }
                let length = rest.len().min(left - FRAGMENT_HEADER);
                let is_last = length == rest.len();
                let kind = match (is_first, is_last) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, false) => 3,
                    (false, true) => 4,
                };
                let checked = [&[kind], &rest[..length]].concat();
                file.extend(crc32fast::hash(&checked).to_le_bytes());
                file.extend((length as u16).to_le_bytes());
                file.extend(checked);
                rest = &rest[length..];
                is_first = false;
                if is_last {
                    break;
                }
            }
        }
        file
    }

    /// The records of a file that comes in pieces of `piece` bytes, and whether it is whole.
    fn read(file: &[u8], piece: usize) -> (Vec<Vec<u8>>, Result<(), Damage>) {
        let mut reader = LogReader::default();
        let mut records = Vec::new();
        for piece in file.chunks(piece.max(1)) {
            let fed = reader.feed(piece, |record| {
                records.push(record.bytes.to_vec());
                Ok(())
            });
            if fed.is_err() {
                return (records, fed);
            }
        }
        let end = reader.finish();
        (records, end)
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let refused = |bytes: &[u8]| read(bytes, 3).1.unwrap_err();
        assert_eq!(
            refused(b"{\"loss\": 1}\n").to_string(),
            "it is not a file of W&B: it begins otherwise at byte 0"
        );
        assert_eq!(read(b"", 1).1, Ok(()));
        assert_eq!(refused(b":W&").what, Flaw::CutOff);
    }

    #[test]
    fn a_record_may_not_grow_without_end() {
        let records = [vec![7; MAX_RECORD + 1]];
        let damage = read(&file(&records), 1 << 16).1.unwrap_err();
        assert_eq!(damage, Flaw::TooLarge(MAX_RECORD).at(7));
    }

    proptest! {
        #[test]
        fn records_are_read_across_blocks_and_in_pieces(
            lengths in prop::collection::vec(prop_oneof![0_usize..60, 32_600..32_800_usize, 60_000..70_000_usize], 1..6),
            piece in prop_oneof![Just(1_usize), 2..50_usize, 1000..100_000_usize],
        ) {
            let records: Vec<Vec<u8>> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| (0..*length).map(|at| (at + number) as u8).collect())
                .collect();
            let (found, end) = read(&file(&records), piece);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(found == records);
        }

        /// One that is cut off gives the records before, one that is changed never a wrong record.
        #[test]
        fn damage_is_noticed(
            lengths in prop::collection::vec(prop_oneof![1_usize..60, 32_000..34_000_usize], 1..4),
            at: prop::sample::Index,
            flip in 1_u8..,
            cut: bool,
        ) {
            let records: Vec<Vec<u8>> = lengths.iter().map(|length| vec![*length as u8; *length]).collect();
            let mut bytes = file(&records);
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= flip;
            }
            let (found, end) = read(&bytes, 4096);
            prop_assert!(found.len() <= records.len() && found == records[..found.len()]);
            // What lies between the blocks is not checked.
            if found.len() < records.len() && !(cut && at == file(&records[..found.len()]).len()) && at > 0 {
                prop_assert!(end.is_err());
            }
        }
    }
}
