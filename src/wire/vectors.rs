//! Unmasking by the widest vectors of the processor at hand, of which the compiler does not know.

use super::mask::by_blocks;

/// As [`by_blocks`], compiled for AVX2 where there is that.
#[cfg(target_arch = "x86_64")]
pub(super) fn by_widest(bytes: &mut [u8], key: u32) -> u32 {
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        unsafe { by_avx2(bytes, key) }
    } else {
        by_blocks(bytes, key)
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn by_avx2(bytes: &mut [u8], key: u32) -> u32 {
    by_blocks(bytes, key)
}

/// As [`by_blocks`]: elsewhere the compiler knows of all vectors that there are.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn by_widest(bytes: &mut [u8], key: u32) -> u32 {
    by_blocks(bytes, key)
}
