//! Reads IDX files, the format of MNIST: a magic number with the type and the number of axes, the
//! sizes (32-bit, big-endian), the bytes. `sets` uses it. Every error names the file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The array of unsigned bytes that an IDX file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    /// Length of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The elements, row by row.
    pub data: Vec<u8>,
}

/// Why an IDX file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdxError {
    /// It cannot be opened or read.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// What the system says.
        source: io::Error,
    },
    /// It is not an IDX file of the expected kind.
    #[error("{file}: {problem}")]
    Malformed {
        /// The file.
        file: String,
        /// What is wrong with it.
        problem: IdxProblem,
    },
}

/// What is wrong with the contents of an IDX file.
#[derive(Debug, thiserror::Error)]
pub(super) enum IdxProblem {
    /// The gzip stream is broken.
    #[error("cannot be decompressed: {0}")]
    Gzip(io::Error),
    /// There is no room for a magic number.
    #[error("is no IDX file: it ends after {0} bytes")]
    TooShort(usize),
    /// The magic number is another one.
    #[error("is no IDX file: it begins with {:02x} {:02x}, not 00 00", .0[0], .0[1])]
    Magic([u8; 2]),
    /// The elements are not unsigned bytes.
    #[error("holds elements of type {0:#04x}; only unsigned bytes (0x08) are read")]
    Type(u8),
    /// The number of axes is not the expected one.
    #[error("has {found} axes where {expected} are expected (are images and labels mixed up?)")]
    Axes {
        /// How many it has.
        found: u8,
        /// How many it should have.
        expected: usize,
    },
    /// The sizes of the axes are not complete.
    #[error("ends within the sizes of its axes")]
    Sizes,
    /// The number of elements does not agree with the sizes.
    #[error("says that it holds {shape} bytes but holds {found}")]
    Length {
        /// The sizes, as `2x3`.
        shape: String,
        /// How many bytes follow them.
        found: usize,
    },
}

/// Maximum size of a decompressed file. MNIST's largest has 47 MB; a wrong or hostile .gz must not
/// fill the memory.
const MAX_BYTES: u64 = 1 << 30;

/// Reads an IDX file of unsigned bytes with that many axes, plain or gzipped. Its first bytes
/// decide which, not its name.
///
/// # Errors
/// `IdxError`, naming the file.
pub(super) fn read_file(path: &Path, axes: usize) -> Result<Bytes, IdxError> {
    let name = path.display().to_string();
    let mut raw = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut raw));
    match outcome {
        Ok(_) => read_bytes(&name, &raw, axes),
        Err(source) => Err(IdxError::Io { file: name, source }),
    }
}

/// The same for bytes in memory; `name` stands for the file in errors.
///
/// # Errors
/// `IdxError::Malformed`, naming the file.
pub(super) fn read_bytes(name: &str, raw: &[u8], axes: usize) -> Result<Bytes, IdxError> {
    unpack(raw, axes).map_err(|problem| IdxError::Malformed {
        file: name.to_owned(),
        problem,
    })
}

/// Decompresses the bytes if they are gzipped, then parses them.
fn unpack(raw: &[u8], axes: usize) -> Result<Bytes, IdxProblem> {
    if !raw.starts_with(&[0x1f, 0x8b]) {
        return parse(raw, axes);
    }
    let mut plain = Vec::new();
    flate2::read::MultiGzDecoder::new(raw)
        .take(MAX_BYTES)
        .read_to_end(&mut plain)
        .map_err(IdxProblem::Gzip)?;
    parse(&plain, axes)
}

fn parse(raw: &[u8], axes: usize) -> Result<Bytes, IdxProblem> {
    // The magic number: two zeros, the type, the number of axes.
    let [first, second, kind, found, ref rest @ ..] = *raw else {
        return Err(IdxProblem::TooShort(raw.len()));
    };
    if [first, second] != [0, 0] {
        return Err(IdxProblem::Magic([first, second]));
    }
    if kind != 0x08 {
        return Err(IdxProblem::Type(kind));
    }
    if usize::from(found) != axes {
        return Err(IdxProblem::Axes {
            found,
            expected: axes,
        });
    }

    // The sizes, then the elements.
    let (sizes, data) = rest.split_at_checked(4 * axes).ok_or(IdxProblem::Sizes)?;
    let (sizes, _) = sizes.as_chunks::<4>();
    let shape: Vec<usize> = sizes
        .iter()
        .map(|size| u32::from_be_bytes(*size) as usize)
        .collect();
    let expected = shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size));
    if expected != Some(data.len()) {
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        return Err(IdxProblem::Length {
            shape: shape.join("x"),
            found: data.len(),
        });
    }
    Ok(Bytes {
        shape,
        data: data.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    const GOOD: [u8; 14] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 1, 7, 9];

    fn message(raw: &[u8], axes: usize) -> String {
        read_bytes("f", raw, axes).unwrap_err().to_string()
    }

    #[test]
    fn plain_and_gzipped_are_read() {
        let expected = Bytes {
            shape: vec![2, 1],
            data: vec![7, 9],
        };
        assert_eq!(read_bytes("f", &GOOD, 2).unwrap(), expected);
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&GOOD).unwrap();
        let packed = packer.finish().unwrap();
        assert_eq!(read_bytes("f", &packed, 2).unwrap(), expected);
        assert!(message(&packed[..packed.len() - 9], 2).starts_with("f: cannot be decompressed: "));
    }

    #[test]
    fn every_fault_is_named() {
        insta::assert_snapshot!(message(&GOOD[..3], 2), @"f: is no IDX file: it ends after 3 bytes");
        insta::assert_snapshot!(message(b"<html>", 2), @"f: is no IDX file: it begins with 3c 68, not 00 00");
        insta::assert_snapshot!(message(&[0, 0, 13, 2, 0, 0, 0, 0], 2), @"f: holds elements of type 0x0d; only unsigned bytes (0x08) are read");
        insta::assert_snapshot!(message(&GOOD, 1), @"f: has 2 axes where 1 are expected (are images and labels mixed up?)");
        insta::assert_snapshot!(message(&GOOD[..9], 2), @"f: ends within the sizes of its axes");
        insta::assert_snapshot!(message(&GOOD[..13], 2), @"f: says that it holds 2x1 bytes but holds 1");
        insta::assert_snapshot!(message(&[0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], 3), @"f: says that it holds 4294967295x4294967295x4294967295 bytes but holds 1");
        let missing = read_file(Path::new("/nowhere/train-images-idx3-ubyte"), 3).unwrap_err();
        assert!(
            missing
                .to_string()
                .starts_with("/nowhere/train-images-idx3-ubyte: No such file"),
            "{missing}"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..64), axes in 0usize..4) {
            let _ = read_bytes("f", &raw, axes);
        }
    }
}
