//! The number of a slot, and a list with one entry for each slot.

use std::fmt;
use std::ops::{Index, IndexMut};

/// Number of a slot, counted from 0 in the order of the devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub usize);

impl fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One value for each slot.
#[derive(Clone, Debug)]
pub(crate) struct PerSlot<T>(Vec<T>);

impl<T> PerSlot<T> {
    /// How many slots there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The numbers of all slots.
    pub(crate) fn indices(&self) -> impl Iterator<Item = SlotIndex> + use<T> {
        (0..self.0.len()).map(SlotIndex)
    }

    /// The values in the order of the slots.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values in the order of the slots, to change them.
    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.0.iter_mut()
    }

    /// The slots with their values.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (SlotIndex, &T)> {
        self.indices().zip(&self.0)
    }
}

impl<T> FromIterator<T> for PerSlot<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl<T> Index<SlotIndex> for PerSlot<T> {
    type Output = T;

    fn index(&self, slot: SlotIndex) -> &T {
        &self.0[slot.0]
    }
}

impl<T> IndexMut<SlotIndex> for PerSlot<T> {
    fn index_mut(&mut self, slot: SlotIndex) -> &mut T {
        &mut self.0[slot.0]
    }
}
