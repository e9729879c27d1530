//! EME-OAEP decoding (RFC 8017, section 7.1.2, step 3), in constant time, for tokens that have raw RSA and lack the padding.
//!
//! Owns: the decoding of one block. Must not know: tokens. Called by: `asymmetric`.
//!
//! An attacker who can tell *why* a block does not decode, or only whether its first byte is zero, decrypts anything with a few
//! thousand questions (Manger, 2001). So every byte is looked at whatever the others are, nothing branches on a secret, and there
//! is one answer to all that is wrong. Only the length of a message that decoded is not hidden: the caller gets it anyway.

use aws_lc_rs::digest::{self, Algorithm};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

/// The message in a block as long as the modulus, with an empty label and MGF1 of the same hash; none if there is no such
/// message.
pub(super) fn decode(hash: &'static Algorithm, block: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let length = hash.output_len();
    // Lengths are no secret. The shortest block: 0, seed, hash of the label, 1.
    if block.len() < 2 * length + 2 {
        return None;
    }
    let (first, rest) = block.split_at(1);
    let mut rest = Zeroizing::new(rest.to_vec());
    let (seed, data) = rest.split_at_mut(length);
    unmask(hash, data, seed);
    unmask(hash, seed, data);

    let (label, padded) = data.split_at(length);
    let mut good = first[0].ct_eq(&0) & label.ct_eq(digest::digest(hash, &[]).as_ref());
    // Behind zeros stands a one; where it is, is found without stopping there.
    let (mut before, mut start) = (Choice::from(1), 0u32);
    for (position, byte) in (1u32..).zip(padded) {
        let one = byte.ct_eq(&1);
        start.conditional_assign(&position, before & one);
        good &= !before | one | byte.ct_eq(&0);
        before &= !one;
    }
    good &= !before;
    if bool::from(good) { Some(Zeroizing::new(padded[start as usize..].to_vec())) } else { None }
}

/// XORs MGF1 of the seed (RFC 8017, B.2.1) onto the target.
fn unmask(hash: &'static Algorithm, seed: &[u8], target: &mut [u8]) {
    for (counter, chunk) in (0u32..).zip(target.chunks_mut(hash.output_len())) {
        let mut context = digest::Context::new(hash);
        context.update(seed);
        context.update(&counter.to_be_bytes());
        chunk.iter_mut().zip(context.finish().as_ref()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256};
    use proptest::prelude::*;

    use super::*;

    /// The encoding, spoiled on the way where a test wants it: `first` is the first byte, `padded` what follows the label's hash.
    fn encode(hash: &'static Algorithm, length: usize, first: u8, label: &[u8], padded: &[u8]) -> Vec<u8> {
        let mut data = [digest::digest(hash, label).as_ref(), padded].concat();
        let mut seed = vec![0x5a; hash.output_len()];
        assert_eq!(1 + seed.len() + data.len(), length);
        unmask(hash, &seed.clone(), &mut data);
        unmask(hash, &data, &mut seed);
        [&[first], &seed[..], &data].concat()
    }

    fn padded(hash: &'static Algorithm, length: usize, message: &[u8]) -> Vec<u8> {
        let zeros = length - 2 * hash.output_len() - 2 - message.len();
        [&vec![0; zeros], &[1][..], message].concat()
    }

    #[test]
    fn each_kind_of_wrong_block_is_refused() {
        for (hash, length) in [(&SHA256, 256), (&SHA1_FOR_LEGACY_USE_ONLY, 384), (&SHA256, 512)] {
            let longest = length - 2 * hash.output_len() - 2;
            for message in [vec![], vec![1], vec![0; 7], vec![0xff; longest]] {
                let good = padded(hash, length, &message);
                let block = encode(hash, length, 0, b"", &good);
                assert_eq!(decode(hash, &block).as_deref(), Some(&message));
                for first in [1, 2, 0x80, 0xff] {
                    assert_eq!(decode(hash, &encode(hash, length, first, b"", &good)), None, "first byte {first}");
                }
                assert_eq!(decode(hash, &encode(hash, length, 0, b"label", &good)), None, "another label");
                for at in 0..longest - message.len() {
                    for byte in [2, 0xff] {
                        let mut bad = good.clone();
                        bad[at] = byte;
                        assert_eq!(decode(hash, &encode(hash, length, 0, b"", &bad)), None, "{byte} in the zeros");
                    }
                }
            }
            assert_eq!(decode(hash, &encode(hash, length, 0, b"", &vec![0; longest + 1])), None, "zeros only");
            assert_eq!(decode(hash, &vec![0; length]), None);
            for short in [0, 1, 2 * hash.output_len() + 1] {
                assert_eq!(decode(hash, &vec![0; short]), None);
            }
        }
    }

    #[test]
    fn a_one_in_the_message_ends_no_padding() {
        let block = encode(&SHA256, 256, 0, b"", &padded(&SHA256, 256, &[0, 1, 0, 1]));
        assert_eq!(decode(&SHA256, &block).as_deref(), Some(&vec![0, 1, 0, 1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn any_block_is_decoded_without_a_panic(block in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(decode(&SHA256, &block), None);
        }

        #[test]
        fn what_was_encoded_is_decoded(message in prop::collection::vec(any::<u8>(), 0..=190)) {
            let block = encode(&SHA256, 256, 0, b"", &padded(&SHA256, 256, &message));
            let decoded = decode(&SHA256, &block);
            prop_assert_eq!(decoded.as_deref(), Some(&message));
        }
    }
}
