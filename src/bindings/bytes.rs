//! Byte arrays, borrowed for the length of one call.

use std::ptr::{null_mut, slice_from_raw_parts_mut};

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

/// What a call gets for an argument that is no `Uint8Array`, or for a part that is not within it.
pub(super) const NOT_BYTES: i32 = i32::MIN;

/// A part of an array: where it begins, and how many bytes it has; -1 for all that follow.
#[derive(Clone, Copy)]
pub(super) struct Part {
    offset: i32,
    length: i32,
}

impl Part {
    /// The part at `offset`, by default 0, of `length` bytes, by default all that follow.
    pub(super) fn new(offset: Option<i32>, length: Option<i32>) -> Self {
        Self { offset: offset.unwrap_or(0), length: length.unwrap_or(-1) }
    }

    /// The range that it is of an array of `total` bytes, if it is one.
    fn range(self, total: usize) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let rest = total.checked_sub(start)?;
        let length = usize::try_from(self.length).unwrap_or(rest);
        (length <= rest).then(|| start..start + length)
    }
}

/// The bytes of a `Uint8Array`; a detached or out-of-bounds one is empty.
///
/// Anything else than a `Uint8Array` becomes `None` inside, so that TypeScript makes the error.
pub struct Bytes(Option<*mut [u8]>);

// In both: the engine gave address and length during this very call, and no JavaScript runs before it
// returns, so the memory neither moves nor shrinks nor goes away. A SharedArrayBuffer may change under
// our eyes: its bytes go to and come from the kernel as they are, and nothing is concluded from them.
impl Bytes {
    /// No `Uint8Array`.
    pub(super) const NONE: Self = Self(None);

    /// Whether the two have bytes in common.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.get(), other.get()) else { return false };
        let (own, others) = (own.as_ptr_range(), others.as_ptr_range());
        own.start < others.end && others.start < own.end
    }

    /// The bytes, to be read during the call.
    pub(super) fn get(&self) -> Option<&[u8]> {
        // SAFETY: as above; several arguments may be the same array, and are only read then.
        self.0.map(|bytes| unsafe { &*bytes })
    }

    /// A part of the bytes, to be read during the call.
    pub(super) fn part(&self, part: Part) -> Option<&[u8]> {
        let bytes = self.get()?;
        bytes.get(part.range(bytes.len())?)
    }

    /// A part of the bytes, to be written during the call, which has no other argument that shares them.
    pub(super) fn part_mut(&mut self, part: Part) -> Option<&mut [u8]> {
        let bytes = self.get_mut()?;
        let range = part.range(bytes.len())?;
        bytes.get_mut(range)
    }

    /// The bytes, to be written during the call, which has no other argument that shares them.
    pub(super) fn get_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: as above; the argument is the only way to the bytes.
        self.0.map(|bytes| unsafe { &mut *bytes })
    }
}

impl FromNapiValue for Bytes {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (mut kind, mut length, mut data) = (0, 0, null_mut());
        // SAFETY: napi-rs calls this with a live environment and value; null is allowed for the
        // results that are not asked for.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                env,
                value,
                &raw mut kind,
                &raw mut length,
                &raw mut data,
                null_mut(),
                null_mut(),
            )
        };
        let bytes = status == sys::Status::napi_ok && kind == sys::TypedarrayType::uint8_array;
        if data.is_null() {
            length = 0;
            data = std::ptr::NonNull::<u8>::dangling().as_ptr().cast();
        }
        Ok(Self(bytes.then(|| slice_from_raw_parts_mut(data.cast(), length))))
    }
}

impl TypeName for Bytes {
    fn type_name() -> &'static str {
        "Uint8Array"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Bytes {}

/// The byte arrays of a JavaScript array; `None` inside when one of its elements is none.
pub struct Pieces(Option<Vec<Bytes>>);

impl Pieces {
    pub(super) fn get(&self) -> Option<&[Bytes]> {
        self.0.as_deref()
    }
}

impl FromNapiValue for Pieces {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut length = 0;
        // SAFETY: napi-rs calls this with a live environment and value.
        let status = unsafe { sys::napi_get_array_length(env, value, &raw mut length) };
        if status != sys::Status::napi_ok {
            // A proxy of an array, which Node-API does not take for one.
            return Ok(Self(None));
        }
        // An element may be a getter, which may take another's memory away: the engine is asked
        // for addresses only when it has run them all.
        let mut elements = Vec::new();
        for index in 0..length {
            let (mut element, mut is_array) = (null_mut(), false);
            // SAFETY: as above; the element lives as long as the call's handle scope.
            check_status!(unsafe { sys::napi_get_element(env, value, index, &raw mut element) })?;
            // SAFETY: as above.
            unsafe { sys::napi_is_typedarray(env, element, &raw mut is_array) };
            if !is_array {
                return Ok(Self(None));
            }
            elements.push(element);
        }
        // SAFETY: as above.
        let pieces = elements.into_iter().map(|it| unsafe { Bytes::from_napi_value(env, it) });
        pieces.collect::<Result<Vec<_>>>().map(|pieces| Self(Some(pieces)))
    }
}

impl TypeName for Pieces {
    fn type_name() -> &'static str {
        "Uint8Array[]"
    }

    fn value_type() -> ValueType {
        ValueType::Object
    }
}

impl ValidateNapiValue for Pieces {}
