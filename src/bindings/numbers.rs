//! Numbers of JavaScript, which are float64 all.
//!
//! Node-API's own conversion to an int makes 0 of NaN and of infinities, cuts fractions, and wraps what exceeds 32 bits:
//! 0 is a handle, a descriptor and a mode. So numbers are taken as float64, and converted here.

use crate::core::Handle;
use crate::sys::Errno;

/// `Number.MAX_SAFE_INTEGER`: above it, neighbouring integers are one float64.
const MAX_SAFE_INTEGER: usize = (1 << 53) - 1;

/// A number that is neither a handle nor a descriptor.
const NOTHING: i32 = -1;

/// The handle; that of nothing for a number that is not an int.
pub(super) fn to_handle(number: f64) -> Handle {
    Handle::from_raw(exact(number).unwrap_or(NOTHING))
}

/// The descriptor; a closed one for a number that is not an int.
pub(super) fn to_descriptor(number: f64) -> i32 {
    exact(number).unwrap_or(NOTHING)
}

/// # Errors
/// EINVAL for a number that is not an int: a fraction, NaN, or one that exceeds 32 bits.
pub(super) fn to_int(number: f64) -> Result<i32, Errno> {
    exact(number).ok_or(Errno::INVAL)
}

/// # Errors
/// EINVAL for a negative number, and as [`to_int`].
pub(super) fn to_unsigned(number: f64) -> Result<u32, Errno> {
    to_int(number).and_then(|int| u32::try_from(int).map_err(|_| Errno::INVAL))
}

/// A length or an offset; `None` for anything but an integer from 0 to [`MAX_SAFE_INTEGER`].
pub(super) fn to_size(number: f64) -> Option<usize> {
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates, and makes 0 of NaN")]
    let int = number as i64;
    #[allow(
        clippy::float_cmp,
        clippy::cast_precision_loss,
        reason = "every integer up to MAX_SAFE_INTEGER is a float64, and the others are refused"
    )]
    let is_int = int as f64 == number;
    usize::try_from(int).ok().filter(|size| is_int && *size <= MAX_SAFE_INTEGER)
}

fn exact(number: f64) -> Option<i32> {
    #[allow(clippy::cast_possible_truncation, reason = "`as` saturates, and makes 0 of NaN")]
    let int = number as i32;
    #[allow(clippy::float_cmp, reason = "every int is a float64")]
    (f64::from(int) == number).then_some(int)
}

#[cfg(test)]
mod tests {
    use super::{to_descriptor, to_handle, to_int, to_size, to_unsigned};
    use crate::core::Handle;
    use crate::sys::Errno;

    const NOT_INTS: [f64; 8] = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.5,
        2_147_483_648.0,
        4_294_967_296.0,
        -2_147_483_649.0,
        1e300,
    ];

    #[test]
    fn a_number_that_is_not_an_int_names_nothing() {
        for number in NOT_INTS {
            assert_eq!(to_handle(number), Handle::from_raw(-1));
            assert_eq!(to_descriptor(number), -1);
            assert_eq!(to_int(number), Err(Errno::INVAL));
            assert_eq!(to_unsigned(number), Err(Errno::INVAL));
        }
        assert_eq!(to_unsigned(-1.0), Err(Errno::INVAL));
    }

    #[test]
    fn an_int_is_itself() {
        for int in [i32::MIN, -1, 0, 1, i32::MAX] {
            assert_eq!(to_int(f64::from(int)), Ok(int));
            assert_eq!(to_handle(f64::from(int)), Handle::from_raw(int));
        }
        assert_eq!(to_int(-0.0), Ok(0));
        assert_eq!(to_unsigned(7.0), Ok(7));
    }

    #[test]
    fn a_size_is_an_integer_up_to_the_largest_safe_one() {
        assert_eq!(to_size(0.0), Some(0));
        assert_eq!(to_size(2_147_483_648.0), Some(1 << 31));
        assert_eq!(to_size(4_294_967_297.0), Some((1 << 32) + 1));
        assert_eq!(to_size(9_007_199_254_740_991.0), Some((1 << 53) - 1));
        for number in [-1.0, 0.5, 9_007_199_254_740_992.0, 2f64.powi(63), f64::NAN, f64::INFINITY] {
            assert_eq!(to_size(number), None);
        }
    }
}
