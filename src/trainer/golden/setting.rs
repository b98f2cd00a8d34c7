//! The network at the drawn weights and the batch that both sides use.

use tch::{Device, Kind, Tensor};

use super::draws;
use super::reference::Reference;
use crate::data::{Sets, Split};
use crate::device::one_thread;
use crate::model::ResNet18;
use crate::tensors::without_grad;

/// The trainer's network, its parameters and running statistics overwritten with the drawn ones.
pub fn network(kind: Kind) -> ResNet18 {
    one_thread();
    let network = ResNet18::new(0, kind, Device::Cpu).unwrap();
    let _guard = without_grad();
    for (place, (name, tensor)) in network.tensors().enumerate() {
        let drawn = Tensor::from_slice(&draws::weights(place, name, &tensor.size()));
        tensor.shallow_clone().copy_(&drawn.view(tensor.size().as_slice()));
    }
    network
}

/// The first images of the embedded training set.
pub fn batch(kind: Kind) -> Split {
    Sets::load(None, kind, Device::Cpu).unwrap().train.narrow(0, Reference::get().of(kind).images).unwrap()
}

/// The names of the parameters with the given tensors.
pub fn named<'a>(network: &'a ResNet18, tensors: &'a [Tensor]) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
    assert_eq!(tensors.len(), network.parameters().len());
    network.tensors().map(|(name, _)| name).zip(tensors)
}

/// The running statistics.
pub fn statistics(network: &ResNet18) -> impl Iterator<Item = (&str, &Tensor)> {
    network.tensors().skip(network.parameters().len())
}
