//! A map from names to figures, sorted by name: what `BTreeMap` would be, but of a hundred thousand
//! maps of a few names each this one takes a tenth of the memory.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Named things, sorted by name. Each name comes once; of two things of one name the later one
/// counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Named<T>(Vec<(String, T)>);

impl<T> Named<T> {
    fn place(&self, name: &str) -> Result<usize, usize> {
        // Names mostly come in their order.
        match self.0.last() {
            Some((last, _)) if last.as_str() < name => Err(self.0.len()),
            _ => self
                .0
                .binary_search_by(|(other, _)| other.as_str().cmp(name)),
        }
    }

    /// The thing of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.place(name).ok().map(|place| &self.0[place].1)
    }

    /// Whether there is one of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    /// Adds a thing, or replaces the one of that name.
    pub fn insert(&mut self, name: String, thing: T) {
        match self.place(&name) {
            Ok(place) => self.0[place].1 = thing,
            Err(place) => {
                // Most have one name only, or few: no room is kept for more.
                self.0.reserve_exact(1);
                self.0.insert(place, (name, thing));
            }
        }
    }

    /// Takes the thing of that name out.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        self.place(name).ok().map(|place| self.0.remove(place).1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and things, in the order of the names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&String, &T)> {
        self.into_iter()
    }

    /// The names, in their order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &String> {
        self.iter().map(|(name, _)| name)
    }

    /// The things, in the order of their names.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.iter().map(|(_, thing)| thing)
    }
}

/// For tests and for names that are known to be there.
impl<T> std::ops::Index<&str> for Named<T> {
    type Output = T;

    fn index(&self, name: &str) -> &T {
        self.get(name)
            .unwrap_or_else(|| panic!("there is no {name:?}"))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Extend<(String, T)> for Named<T> {
    fn extend<I: IntoIterator<Item = (String, T)>>(&mut self, pairs: I) {
        pairs
            .into_iter()
            .for_each(|(name, thing)| self.insert(name, thing));
    }
}

impl<T> FromIterator<(String, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (String, T)>>(pairs: I) -> Self {
        let mut named = Self::default();
        named.extend(pairs);
        named
    }
}

impl<T> IntoIterator for Named<T> {
    type Item = (String, T);
    type IntoIter = std::vec::IntoIter<(String, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A pair as one that is borrowed shows it.
type Borrowed<'a, T> = fn(&'a (String, T)) -> (&'a String, &'a T);

impl<'a, T> IntoIterator for &'a Named<T> {
    type Item = (&'a String, &'a T);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (String, T)>, Borrowed<'a, T>>;

    fn into_iter(self) -> Self::IntoIter {
        let borrowed: Borrowed<'a, T> = |(name, thing)| (name, thing);
        self.0.iter().map(borrowed)
    }
}

impl<T: Serialize> Serialize for Named<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for NamedVisitor<T> {
            type Value = Named<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<T>, A::Error> {
                let mut named = Named::default();
                while let Some((name, thing)) = map.next_entry()? {
                    named.insert(name, thing);
                }
                Ok(named)
            }
        }
        deserializer.deserialize_map(NamedVisitor(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn it_is_as_a_sorted_map(pairs in prop::collection::vec(("[a-d]{0,2}", any::<u8>()), 0..12), asked in "[a-d]{0,2}") {
            let named: Named<u8> = pairs.iter().cloned().collect();
            let map: BTreeMap<String, u8> = pairs.into_iter().collect();
            prop_assert!(named.iter().eq(&map));
            prop_assert_eq!(named.get(&asked), map.get(&asked));
            prop_assert_eq!(named.contains_key(&asked), map.contains_key(&asked));
            prop_assert_eq!((named.len(), named.is_empty()), (map.len(), map.is_empty()));
            let text = serde_json::to_string(&named).unwrap();
            prop_assert_eq!(&text, &serde_json::to_string(&map).unwrap());
            prop_assert_eq!(&serde_json::from_str::<Named<u8>>(&text).unwrap(), &named);
            let (mut named, mut map) = (named, map);
            prop_assert_eq!(named.remove(&asked), map.remove(&asked));
            prop_assert!(named.iter().eq(&map));
        }
    }
}
