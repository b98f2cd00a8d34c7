//! The three sets of the task, as tensors on a device: the embedded subset of MNIST, or the full
//! files of a folder. Reads through `idx`. The engine keeps what it loads until the process ends.

use std::path::{Path, PathBuf};

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
    /// The images to train on, in file order.
    pub train: Split,
    /// The images that hyper-parameters are chosen by.
    pub val: Split,
    /// The images that results are reported on.
    pub test: Split,
}

impl Split {
    /// Number of images.
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
        if let Some(problem) = problem_with(names, images, labels) {
            return Err(TrialError::BadConfig(format!("data_dir: {problem}")));
        }

        let size = [images.shape[0] as i64, 1, 28, 28];
        let images = Tensor::f_from_data_size(&images.data, &size, Kind::Uint8)?
            .f_to_kind(kind)?
            .f_div_scalar(255.0)?;
        let labels = Tensor::f_from_data_size(&labels.data, &size[..1], Kind::Uint8)?
            .f_to_kind(Kind::Int64)?;
        Ok(Self {
            images: images.f_to_device(device)?,
            labels: labels.f_to_device(device)?,
        })
    }
}

/// Why images and labels cannot be used together, if they cannot.
fn problem_with(names: [&str; 2], images: &Bytes, labels: &Bytes) -> Option<String> {
    let [images_name, labels_name] = names;
    let count = images.shape[0];
    let label_count = labels.shape[0];
    if images.shape[1..] != [28, 28] {
        let height = images.shape[1];
        let width = images.shape[2];
        return Some(format!(
            "{images_name}: holds images of {height}x{width} pixels; the network is made for 28x28"
        ));
    }
    if label_count != count {
        return Some(format!(
            "{images_name} holds {count} images but {labels_name} holds {label_count} labels"
        ));
    }
    if count == 0 {
        return Some(format!("{images_name}: holds no images"));
    }
    let wrong = labels.data.iter().find(|label| **label > 9)?;
    Some(format!(
        "{labels_name}: holds the label {wrong}; labels are digits from 0 to 9"
    ))
}

/// An embedded file: its name in error messages, and its contents.
#[derive(Clone, Copy)]
struct EmbeddedFile {
    name: &'static str,
    contents: &'static [u8],
}

impl EmbeddedFile {
    fn read(self, axes: usize) -> Result<Bytes, TrialError> {
        idx::read_bytes(self.name, self.contents, axes)
            .map_err(|error| TrialError::Data(error.to_string()))
    }
}

/// The embedded images and labels of a set.
macro_rules! embedded {
    ($split:literal) => {
        [
            EmbeddedFile {
                name: concat!("embedded ", $split, "-images"),
                contents: include_bytes!(concat!("mnist/", $split, "-images-idx3-ubyte.gz")),
            },
            EmbeddedFile {
                name: concat!("embedded ", $split, "-labels"),
                contents: include_bytes!(concat!("mnist/", $split, "-labels-idx1-ubyte.gz")),
            },
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
        Ok(Self {
            train: Split::embedded(embedded!("train"), kind, device)?,
            val: Split::embedded(embedded!("val"), kind, device)?,
            test: Split::embedded(embedded!("test"), kind, device)?,
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

        let held_out = Split::from_folder(folder, "t10k", kind, device)?;
        // MNIST has no validation set of its own.
        let half = held_out.len() / 2;
        if half == 0 {
            return Err(TrialError::BadConfig(
                "data_dir: one test image cannot be halved into validation and test".to_owned(),
            ));
        }
        Ok(Self {
            train: Split::from_folder(folder, "train", kind, device)?,
            val: held_out.narrow(0, half)?,
            test: held_out.narrow(half, held_out.len() - half)?,
        })
    }
}

impl Split {
    /// The embedded images and labels.
    fn embedded(files: [EmbeddedFile; 2], kind: Kind, device: Device) -> Result<Self, TrialError> {
        let [images, labels] = files;
        let names = [images.name, labels.name];
        Self::new(names, &images.read(3)?, &labels.read(1)?, kind, device)
    }

    /// The images and labels of the set `train` or `t10k` in a folder.
    fn from_folder(
        folder: &Path,
        set: &str,
        kind: Kind,
        device: Device,
    ) -> Result<Self, TrialError> {
        let images_path = find(folder, &format!("{set}-images"), 3)?;
        let images = read(&images_path, 3)?;
        let labels_path = find(folder, &format!("{set}-labels"), 1)?;
        let labels = read(&labels_path, 1)?;
        let images_name = images_path.display().to_string();
        let labels_name = labels_path.display().to_string();
        Self::new([&images_name, &labels_name], &images, &labels, kind, device)
    }
}

/// The path of one of MNIST's files, which go by several names: `train-images-idx3-ubyte`, with a
/// dot before `idx3` as some archives unpack it, and both with `.gz`.
fn find(folder: &Path, stem: &str, axes: usize) -> Result<PathBuf, TrialError> {
    let names = ["-", "."].map(|dash| format!("{stem}{dash}idx{axes}-ubyte"));
    let gzipped = names.clone().map(|name| name + ".gz");
    let path = names
        .iter()
        .chain(&gzipped)
        .map(|name| folder.join(name))
        .find(|path| path.exists());
    path.ok_or_else(|| {
        let folder = folder.display();
        let name = &names[0];
        TrialError::BadConfig(format!(
            "data_dir: {folder} holds neither {name} nor {name}.gz"
        ))
    })
}

fn read(path: &Path, axes: usize) -> Result<Bytes, TrialError> {
    match idx::read_file(path, axes) {
        Ok(bytes) => Ok(bytes),
        Err(error @ IdxError::Malformed { .. }) => {
            Err(TrialError::BadConfig(format!("data_dir: {error}")))
        }
        // The file exists but cannot be read. On a network file system this may be temporary, so a
        // retry makes sense.
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

    /// Hashes of the decompressed images and labels.
    fn digest(files: [EmbeddedFile; 2]) -> [String; 2] {
        let [images, labels] = files;
        [images.read(3), labels.read(1)]
            .map(|bytes| blake3::hash(&bytes.unwrap().data).to_hex()[..16].to_owned())
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
        insta::assert_debug_snapshot!([embedded!("train"), embedded!("val"), embedded!("test")].map(digest), @r#"
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
    fn a_folder_that_cannot_be_used_is_named_with_the_reason() {
        insta::assert_snapshot!(message(Path::new("/nowhere")), @"data_dir: DIR is not a folder");
        insta::assert_snapshot!(message(tempfile::tempdir().unwrap().path()), @"data_dir: DIR holds neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte.gz");
        insta::assert_snapshot!(message(folder(4, 3).path()), @"data_dir: DIR/t10k-images.idx3-ubyte holds 4 images but DIR/t10k-labels-idx1-ubyte holds 5 labels");
        insta::assert_snapshot!(message(folder(5, 10).path()), @"data_dir: DIR/train-labels.idx1-ubyte: holds the label 10; labels are digits from 0 to 9");
        let broken = folder(5, 3);
        fs::write(broken.path().join("t10k-images.idx3-ubyte"), "oops").unwrap();
        insta::assert_snapshot!(message(broken.path()), @"data_dir: DIR/t10k-images.idx3-ubyte: is no IDX file: it begins with 6f 6f, not 00 00");
    }
}
