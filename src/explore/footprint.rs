//! [`Footprint`]: what a step touches, as far as it has declared it. Two steps that touch nothing in common lead to the same in either order.

use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Footprint {
    /// It may touch anything.
    All,
    Of(Vec<(Cow<'static, str>, Access)>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Reads,
    Changes,
}

impl Footprint {
    /// Do the two steps touch nothing in common, but for what both of them only read?
    pub(crate) fn is_apart_from(&self, other: &Self) -> bool {
        let (Self::Of(these), Self::Of(those)) = (self, other) else { return false };
        let is_common = |(this, how): &(Cow<'_, str>, Access)| {
            let both_read = |other| (*how, other) == (Access::Reads, Access::Reads);
            those.iter().any(|(that, other)| this == that && !both_read(*other))
        };
        !these.iter().any(is_common)
    }
}
