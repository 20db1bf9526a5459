//! Several runs of bytes in one send: the header that the kernel reads while it is under way.

use std::io::IoSlice;

use crate::driver::Outgoing;
use crate::outgoing::{SEND_BYTES_MAX, SLICES_MAX};

/// A `msghdr` and the slices it points to; boxed, so that neither moves.
pub(super) struct Message {
    header: libc::msghdr,
    slices: [libc::iovec; SLICES_MAX],
}

impl Message {
    pub(super) fn boxed() -> Box<Self> {
        // SAFETY: all-zero bytes are a valid msghdr: null pointers and lengths of zero.
        let header = unsafe { std::mem::zeroed() };
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Box::new(Self { header, slices: [empty; SLICES_MAX] })
    }

    /// Points to the rest of `bytes`. The caller keeps both in place until the send completes.
    pub(super) fn point_to(&mut self, bytes: &mut Outgoing, sent: usize) -> *const libc::msghdr {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = bytes.slices(sent, SEND_BYTES_MAX, &mut slices);
        for (place, slice) in self.slices.iter_mut().zip(&slices[..count]) {
            place.iov_base = slice.as_ptr().cast_mut().cast();
            place.iov_len = slice.len();
        }
        self.header.msg_iov = self.slices.as_mut_ptr();
        self.header.msg_iovlen = count as _;
        &self.header
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("slices", &self.header.msg_iovlen).finish_non_exhaustive()
    }
}
