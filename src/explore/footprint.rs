//! [`Footprint`]: what a step touches, as far as it has declared it. Two steps that touch nothing in common lead to the same in either order.

use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Footprint {
    /// It may touch anything.
    All,
    Of(Vec<Cow<'static, str>>),
}

impl Footprint {
    /// Do the two steps touch nothing in common?
    pub(crate) fn is_apart_from(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Of(these), Self::Of(those)) => !these.iter().any(|this| those.contains(this)),
            _ => false,
        }
    }
}
