//! Byte arrays, borrowed for the duration of one call.

use std::io::IoSlice;
use std::ptr::{null_mut, slice_from_raw_parts_mut};

use napi::bindgen_prelude::{FromNapiValue, Result, TypeName, ValidateNapiValue};
use napi::{ValueType, check_status, sys};

use super::numbers::to_size;
use crate::sys::Errno;

/// What a function returns for an argument that is not a `Uint8Array`, or for a part that exceeds it.
pub(super) const NOT_BYTES: i32 = i32::MIN;

/// A part of an array: `length` bytes, by default all that follow, from `offset` on, by default 0.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) offset: Option<f64>,
    pub(super) length: Option<f64>,
}

impl Part {
    /// The range in an array of `total` bytes; `None` when the part exceeds it.
    fn range(self, total: usize) -> Option<std::ops::Range<usize>> {
        let start = self.offset.map_or(Some(0), to_size)?;
        let rest = total.checked_sub(start)?;
        let length = self.length.map_or(Some(rest), to_size)?;
        (length <= rest).then(|| start..start + length)
    }
}

/// The bytes of a `Uint8Array`; a detached or out-of-bounds array is empty.
///
/// Any other value is `None`: the function returns [`NOT_BYTES`], and TypeScript throws the error.
pub struct Bytes(Option<*mut [u8]>);

// Why the memory is valid: napi_get_typedarray_info returned its address and length during this call, and no JavaScript
// runs before the call returns, so that the array cannot be detached, resized or collected. Another thread may write to
// a SharedArrayBuffer meanwhile; its bytes are only copied to and from the kernel.
impl Bytes {
    pub(super) const NONE: Self = Self(None);

    /// Whether the two arrays share bytes.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.get(), other.get()) else { return false };
        let (own, others) = (own.as_ptr_range(), others.as_ptr_range());
        own.start < others.end && others.start < own.end
    }

    /// The bytes, for reading.
    pub(super) fn get(&self) -> Option<&[u8]> {
        // SAFETY: the memory is valid, see above. Several arguments may be one array; then all of them are only read.
        self.0.map(|bytes| unsafe { &*bytes })
    }

    /// A part of the bytes, for reading.
    pub(super) fn part(&self, part: Part) -> Option<&[u8]> {
        let bytes = self.get()?;
        bytes.get(part.range(bytes.len())?)
    }

    /// A part of the bytes, for writing. No other argument of the call may share them.
    pub(super) fn part_mut(&mut self, part: Part) -> Option<&mut [u8]> {
        let bytes = self.get_mut()?;
        let range = part.range(bytes.len())?;
        bytes.get_mut(range)
    }

    /// The bytes, for writing. No other argument of the call may share them.
    pub(super) fn get_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the memory is valid, see above, and no other argument of the call refers to it.
        self.0.map(|bytes| unsafe { &mut *bytes })
    }
}

impl FromNapiValue for Bytes {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let (mut kind, mut length, mut data) = (0, 0, null_mut());
        // SAFETY: napi-rs passes a live environment and value. Node-API allows null for results that are not wanted.
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

/// The byte arrays of a JavaScript array; `NOT_BYTES` when an element is not a typed array.
pub struct Pieces(std::result::Result<Vec<Bytes>, i32>);

impl Pieces {
    /// # Errors
    /// `NOT_BYTES`, or -ENOMEM when the array is too long.
    pub(super) fn slices(&self) -> std::result::Result<Vec<IoSlice<'_>>, i32> {
        let pieces = self.0.as_deref().map_err(|number| *number)?;
        let mut slices = with_room(pieces.len())?;
        for piece in pieces {
            slices.push(IoSlice::new(piece.get().ok_or(NOT_BYTES)?));
        }
        Ok(slices)
    }
}

/// An empty vector with room for so many elements, or -ENOMEM.
fn with_room<T>(length: usize) -> std::result::Result<Vec<T>, i32> {
    let mut vector = Vec::new();
    vector.try_reserve_exact(length).map_err(|_| Errno::NOMEM.negated())?;
    Ok(vector)
}

impl FromNapiValue for Pieces {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut length = 0;
        // SAFETY: napi-rs passes a live environment and value.
        let status = unsafe { sys::napi_get_array_length(env, value, &raw mut length) };
        if status != sys::Status::napi_ok {
            // A proxy of an array: Array.isArray() accepts it, Node-API does not.
            return Ok(Self(Err(NOT_BYTES)));
        }
        // An element may be a getter, which may detach the memory of another element. So all elements are read before
        // the first address is.
        let mut elements = Vec::new();
        for index in 0..length {
            let (mut element, mut is_array) = (null_mut(), false);
            // SAFETY: as above; the call's handle scope keeps the element alive.
            check_status!(unsafe { sys::napi_get_element(env, value, index, &raw mut element) })?;
            // SAFETY: environment and element are live.
            unsafe { sys::napi_is_typedarray(env, element, &raw mut is_array) };
            if !is_array {
                return Ok(Self(Err(NOT_BYTES)));
            }
            if elements.try_reserve(1).is_err() {
                return Ok(Self(Err(Errno::NOMEM.negated())));
            }
            elements.push(element);
        }
        let mut pieces = match with_room(elements.len()) {
            Ok(pieces) => pieces,
            Err(number) => return Ok(Self(Err(number))),
        };
        for element in elements {
            // SAFETY: environment and elements are live.
            pieces.push(unsafe { Bytes::from_napi_value(env, element) }?);
        }
        Ok(Self(Ok(pieces)))
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
