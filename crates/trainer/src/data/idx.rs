//! Reads IDX files, the format of MNIST: a magic number that gives the type and the number of axes,
//! the sizes (32-bit, big-endian), the bytes. Hands plain bytes to `sets`; every error names the
//! file.

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
        problem: String,
    },
}

/// More than MNIST's largest file (47 MB) has; keeps a wrong or hostile .gz from filling the
/// memory.
const MAX_BYTES: u64 = 1 << 30;

/// Reads an IDX file of unsigned bytes with so many axes, plain or gzipped (told by its first
/// bytes, not its name).
///
/// # Errors
/// `IdxError`, naming the file.
pub(super) fn read_file(path: &Path, axes: usize) -> Result<Bytes, IdxError> {
    let name = path.display().to_string();
    let mut raw = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut raw));
    read.map_err(|source| IdxError::Io {
        file: name.clone(),
        source,
    })?;
    read_bytes(&name, &raw, axes)
}

/// The same for bytes in memory; `name` stands for the file in errors.
///
/// # Errors
/// `IdxError::Malformed`, naming the file.
pub(super) fn read_bytes(name: &str, raw: &[u8], axes: usize) -> Result<Bytes, IdxError> {
    let malformed = |problem: String| IdxError::Malformed {
        file: name.to_owned(),
        problem,
    };
    if raw.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(raw)
            .take(MAX_BYTES)
            .read_to_end(&mut plain)
            .map_err(|source| malformed(format!("cannot be decompressed: {source}")))?;
        parse(&plain, axes).map_err(malformed)
    } else {
        parse(raw, axes).map_err(malformed)
    }
}

fn parse(raw: &[u8], axes: usize) -> Result<Bytes, String> {
    let [a, b, kind, found, rest @ ..] = raw else {
        return Err(format!("is no IDX file: it ends after {} bytes", raw.len()));
    };
    if (*a, *b) != (0, 0) {
        return Err(format!(
            "is no IDX file: it begins with {a:02x} {b:02x}, not 00 00"
        ));
    }
    if *kind != 0x08 {
        return Err(format!(
            "holds elements of type {kind:#04x}; only unsigned bytes (0x08) are read"
        ));
    }
    if usize::from(*found) != axes {
        return Err(format!(
            "has {found} axes where {axes} are expected (are images and labels mixed up?)"
        ));
    }
    let Some((sizes, data)) = rest.split_at_checked(4 * axes) else {
        return Err("ends within the sizes of its axes".to_owned());
    };
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
        return Err(format!(
            "says that it holds {} bytes but holds {}",
            shape.join("x"),
            data.len()
        ));
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
