//! The three sets of the task, as tensors on a device: the embedded subset of MNIST, or the full
//! files of a folder. Reads through `idx`; the engine keeps what it loads for as long as the
//! process lives.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::idx::{self, Bytes, IdxError};
use crate::error::TrialError;

/// Images with their labels.
#[derive(Debug)]
pub(crate) struct Split {
    /// Pixels in [0, 1], `[N, 1, 28, 28]`.
    pub images: Tensor,
    /// Digits 0 to 9, `[N]`, 64-bit integers.
    pub labels: Tensor,
}

/// The training, validation and test sets.
#[derive(Debug)]
pub(crate) struct Sets {
    /// What is trained on, in file order.
    pub train: Split,
    /// What hyper-parameters are chosen by.
    pub val: Split,
    /// What is reported.
    pub test: Split,
}

impl Split {
    /// How many images there are.
    pub(crate) fn len(&self) -> i64 {
        self.labels.size().first().copied().unwrap_or(0)
    }

    /// Images `start .. start + length`, as a view.
    ///
    /// # Errors
    /// libtorch's, if the range is not inside the set.
    pub(crate) fn narrow(&self, start: i64, length: i64) -> Result<Self, TrialError> {
        Ok(Self {
            images: self.images.f_narrow(0, start, length)?,
            labels: self.labels.f_narrow(0, start, length)?,
        })
    }

    /// Checks that images and labels belong together, and scales the pixels as torchvision's
    /// `ToTensor` does.
    fn new(
        names: [&str; 2],
        images: &Bytes,
        labels: &Bytes,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TrialError> {
        let count = images.shape[0];
        let problem = if images.shape[1..] != [28, 28] {
            format!(
                "{}: holds images of {}x{} pixels; the network is made for 28x28",
                names[0], images.shape[1], images.shape[2]
            )
        } else if labels.shape[0] != count {
            format!(
                "{} holds {count} images but {} holds {} labels",
                names[0], names[1], labels.shape[0]
            )
        } else if count == 0 {
            format!("{}: holds no images", names[0])
        } else if let Some(label) = labels.data.iter().find(|label| **label > 9) {
            format!(
                "{}: holds the label {label}; labels are digits from 0 to 9",
                names[1]
            )
        } else {
            let size = [count as i64, 1, 28, 28];
            let images = Tensor::f_from_data_size(&images.data, &size, Kind::Uint8)?
                .f_to_kind(kind)?
                .f_div_scalar(255.0)?;
            let labels = Tensor::f_from_data_size(&labels.data, &size[..1], Kind::Uint8)?
                .f_to_kind(Kind::Int64)?;
            return Ok(Self {
                images: images.f_to_device(device)?,
                labels: labels.f_to_device(device)?,
            });
        };
        Err(TrialError::BadConfig(format!("data_dir: {problem}")))
    }
}

macro_rules! embedded {
    ($split:literal) => {
        [
            (
                concat!("embedded ", $split, "-images"),
                include_bytes!(concat!("mnist/", $split, "-images-idx3-ubyte.gz")).as_slice(),
            ),
            (
                concat!("embedded ", $split, "-labels"),
                include_bytes!(concat!("mnist/", $split, "-labels-idx1-ubyte.gz")).as_slice(),
            ),
        ]
    };
}

impl Sets {
    /// The sets of a configuration: the embedded ones, or those of the parameter `data_dir`.
    ///
    /// # Errors
    /// Names `data_dir` and the file if the folder does not hold what it should.
    pub(crate) fn load(
        data_dir: Option<&str>,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TrialError> {
        match data_dir {
            None => Self::embedded(kind, device),
            Some(folder) => Self::from_folder(Path::new(folder), kind, device),
        }
    }

    /// The embedded subset: 1200 images for training, 200 each for validation and test
    /// (`mnist/README.md`).
    fn embedded(kind: Kind, device: Device) -> Result<Self, TrialError> {
        let split = |[images, labels]: [(&str, &[u8]); 2]| {
            let read = |(name, raw), axes| {
                idx::read_bytes(name, raw, axes)
                    .map_err(|error| TrialError::Data(error.to_string()))
            };
            Split::new(
                [images.0, labels.0],
                &read(images, 3)?,
                &read(labels, 1)?,
                kind,
                device,
            )
        };
        Ok(Self {
            train: split(embedded!("train"))?,
            val: split(embedded!("val"))?,
            test: split(embedded!("test"))?,
        })
    }

    /// MNIST's four files: all training images; the first half of the test images for validation,
    /// the second half for the test.
    fn from_folder(folder: &Path, kind: Kind, device: Device) -> Result<Self, TrialError> {
        if !folder.is_dir() {
            return Err(TrialError::BadConfig(format!(
                "data_dir: {} is not a folder",
                folder.display()
            )));
        }
        let split = |set: &str| {
            let (images_name, images) = read_from(folder, &format!("{set}-images"), 3)?;
            let (labels_name, labels) = read_from(folder, &format!("{set}-labels"), 1)?;
            Split::new([&images_name, &labels_name], &images, &labels, kind, device)
        };
        let held_out = split("t10k")?;
        let half = held_out.len() / 2;
        if half == 0 {
            return Err(TrialError::BadConfig(
                "data_dir: one test image cannot be halved into validation and test".to_owned(),
            ));
        }
        let (val, test) = (
            held_out.narrow(0, half)?,
            held_out.narrow(half, held_out.len() - half)?,
        );
        Ok(Self {
            train: split("train")?,
            val,
            test,
        })
    }
}

/// One of MNIST's files, by the names it is known under: `train-images-idx3-ubyte`, with a dot
/// before `idx3` as some archives unpack it, and both with `.gz`. Gives the path it was found
/// under, and its contents.
fn read_from(folder: &Path, stem: &str, axes: usize) -> Result<(String, Bytes), TrialError> {
    let names = ["-", "."].map(|dash| format!("{stem}{dash}idx{axes}-ubyte"));
    let packed = names.clone().map(|name| name + ".gz");
    let Some(path) = names
        .iter()
        .chain(&packed)
        .map(|name| folder.join(name))
        .find(|path| path.exists())
    else {
        let folder = folder.display();
        return Err(TrialError::BadConfig(format!(
            "data_dir: {folder} holds neither {} nor {}.gz",
            names[0], names[0]
        )));
    };
    match idx::read_file(&path, axes) {
        Ok(bytes) => Ok((path.display().to_string(), bytes)),
        Err(error @ IdxError::Malformed { .. }) => {
            Err(TrialError::BadConfig(format!("data_dir: {error}")))
        }
        // It is there but cannot be read: a network file system may have hiccups, so a retry makes
        // sense.
        Err(error @ IdxError::Io { .. }) => Err(TrialError::Data(format!("data_dir: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::one_thread;
    use std::fs;

    fn counts(split: &Split) -> Vec<i64> {
        Vec::try_from(split.labels.bincount::<Tensor>(None, 10)).unwrap()
    }

    fn digest(bytes: &[(&str, &[u8]); 2]) -> [String; 2] {
        let decompress = |index: usize| {
            idx::read_bytes("", bytes[index].1, if index == 0 { 3 } else { 1 })
                .unwrap()
                .data
        };
        [0, 1].map(|index| blake3::hash(&decompress(index)).to_hex()[..16].to_owned())
    }

    #[test]
    fn the_embedded_set_is_the_papers() {
        one_thread();
        let sets = Sets::load(None, Kind::Float, Device::Cpu).unwrap();
        assert_eq!(sets.train.images.size(), [1200, 1, 28, 28]);
        assert_eq!(sets.val.images.size(), [200, 1, 28, 28]);
        assert_eq!(sets.test.len(), 200);
        assert_eq!(
            counts(&sets.train),
            [100, 125, 115, 130, 118, 111, 117, 149, 117, 118]
        );
        assert_eq!(counts(&sets.val), [23, 19, 17, 23, 26, 11, 22, 22, 15, 22]);
        assert_eq!(counts(&sets.test), [18, 27, 19, 10, 22, 34, 20, 18, 18, 14]);
        assert_eq!(
            (
                sets.train.images.min().double_value(&[]),
                sets.train.images.max().double_value(&[])
            ),
            (0.0, 1.0)
        );
        insta::assert_debug_snapshot!([embedded!("train"), embedded!("val"), embedded!("test")].map(|files| digest(&files)), @r#"
        [
            [
                "863813dbfaa60f58",
                "0ab509d5b3704bab",
            ],
            [
                "92ac0aada62d3f0c",
                "371e57a1f444d439",
            ],
            [
                "74f1203e75447023",
                "b11b7a61b7a5376d",
            ],
        ]
        "#);
    }

    fn idx_file(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let mut raw = vec![0, 0, 8, shape.len() as u8];
        raw.extend(shape.iter().flat_map(|size| size.to_be_bytes()));
        raw.extend(data);
        raw
    }

    fn folder(test_images: u32, label: u8) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let images = |count: u32| idx_file(&[count, 28, 28], &vec![51; count as usize * 784]);
        fs::write(folder.path().join("train-images-idx3-ubyte"), images(3)).unwrap();
        fs::write(
            folder.path().join("train-labels.idx1-ubyte"),
            idx_file(&[3], &[1, 2, label]),
        )
        .unwrap();
        fs::write(
            folder.path().join("t10k-images.idx3-ubyte"),
            images(test_images),
        )
        .unwrap();
        fs::write(
            folder.path().join("t10k-labels-idx1-ubyte"),
            idx_file(&[5], &[0, 1, 2, 3, 4]),
        )
        .unwrap();
        folder
    }

    fn message(folder: &Path) -> String {
        let error = Sets::load(folder.to_str(), Kind::Float, Device::Cpu).unwrap_err();
        assert!(matches!(error, TrialError::BadConfig(_)));
        error.to_string().replace(folder.to_str().unwrap(), "DIR")
    }

    #[test]
    fn a_folder_of_full_files_is_read_and_halved() {
        let folder = folder(5, 3);
        let sets = Sets::load(folder.path().to_str(), Kind::Double, Device::Cpu).unwrap();
        assert_eq!(
            (sets.train.len(), sets.val.len(), sets.test.len()),
            (3, 2, 3)
        );
        assert_eq!(Vec::<i64>::try_from(&sets.test.labels).unwrap(), [2, 3, 4]);
        assert_eq!(sets.train.images.double_value(&[2, 0, 27, 27]), 0.2);
    }

    #[test]
    fn a_folder_that_will_not_do_is_named() {
        insta::assert_snapshot!(message(Path::new("/nowhere")), @"data_dir: DIR is not a folder");
        insta::assert_snapshot!(message(tempfile::tempdir().unwrap().path()), @"data_dir: DIR holds neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz");
        insta::assert_snapshot!(message(folder(4, 3).path()), @"data_dir: DIR/t10k-images.idx3-ubyte holds 4 images but DIR/t10k-labels-idx1-ubyte holds 5 labels");
        insta::assert_snapshot!(message(folder(5, 10).path()), @"data_dir: DIR/train-labels.idx1-ubyte: holds the label 10; labels are digits from 0 to 9");
        let broken = folder(5, 3);
        fs::write(broken.path().join("t10k-images.idx3-ubyte"), "oops").unwrap();
        insta::assert_snapshot!(message(broken.path()), @"data_dir: DIR/t10k-images.idx3-ubyte: is no IDX file: it begins with 6f 6f, not 00 00");
    }
}
