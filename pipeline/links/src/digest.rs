//! Comparison of fetched bytes with the digest that the row has, as img2dataset's `verify_hash` does.

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

/// Difference of the bytes from the row's digest; `None` if they are equal.
pub(crate) fn fault(bytes: &[u8], digest: &str) -> Option<String> {
    let wanted = digest.trim().to_ascii_lowercase();
    let is_hex = wanted.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (name, found) = match wanted.len() {
        32 if is_hex => ("MD5", hex::encode(Md5::digest(bytes))),
        64 if is_hex => ("SHA-256", hex::encode(Sha256::digest(bytes))),
        128 if is_hex => ("SHA-512", hex::encode(Sha512::digest(bytes))),
        _ => {
            let start: String = wanted.chars().take(40).collect();
            return Some(format!("the row's digest `{start}` is not an MD5, SHA-256 or SHA-512"));
        }
    };
    (found != wanted).then(|| format!("the bytes have the {name} {found}, the row has {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn bytes_are_compared_with_a_digest_of_any_usual_length() {
        for digest in [
            "900150983cd24fb0d6963f7d28e17f72",
            " BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd\
             454d4423643ce80e2a9ac94fa54ca49f",
        ] {
            assert_eq!(fault(b"abc", digest), None, "{digest}");
            assert!(fault(b"abd", digest).unwrap().contains("the row has"));
        }
        assert!(fault(b"abc", "12").unwrap().contains("not an MD5"));
        assert!(fault(b"abc", &"z".repeat(64)).is_some());
    }
}
