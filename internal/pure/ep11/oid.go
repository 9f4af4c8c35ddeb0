// SPDX-License-Identifier: Apache-2.0

package ep11

// Object identifiers in DER, as they stand in CKA_EC_PARAMS and CKA_IBM_PQC_PARAMS, and as the algorithms of public and private keys.
const (
	OIDP224      = "\x06\x05\x2b\x81\x04\x00\x21"
	OIDP256      = "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"
	OIDP384      = "\x06\x05\x2b\x81\x04\x00\x22"
	OIDP521      = "\x06\x05\x2b\x81\x04\x00\x23"
	OIDSecp256k1 = "\x06\x05\x2b\x81\x04\x00\x0a"
	OIDX25519    = "\x06\x03\x2b\x65\x6e"
	OIDX448      = "\x06\x03\x2b\x65\x6f"
	OIDEd25519   = "\x06\x03\x2b\x65\x70"
	OIDEd448     = "\x06\x03\x2b\x65\x71"
	OIDBP256R1   = "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x07"
	OIDBP384R1   = "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0b"
	OIDBP512R1   = "\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01\x0d"
	OIDBLS12381  = "\x06\x0c\x2b\x06\x01\x04\x01\x02\x82\x0b\x87\x67\x03\x02"

	OIDDilithiumR2High = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x01\x06\x05" // round 2, 6-5
	OIDDilithiumR287   = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x01\x08\x07"
	OIDDilithiumR344   = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x07\x04\x04" // round 3
	OIDDilithiumR365   = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x07\x06\x05"
	OIDDilithiumR387   = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x07\x08\x07"
	OIDKyberR2768      = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x05\x03\x03" // round 2
	OIDKyberR21024     = "\x06\x0b\x2b\x06\x01\x04\x01\x02\x82\x0b\x05\x04\x04"

	OIDMLDSA44   = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x11" // RFC 9881
	OIDMLDSA65   = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x12"
	OIDMLDSA87   = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x03\x13"
	OIDMLKEM512  = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x01" // RFC 9935
	OIDMLKEM768  = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x02"
	OIDMLKEM1024 = "\x06\x09\x60\x86\x48\x01\x65\x03\x04\x04\x03"

	oidECPublicKey = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"
	oidRSA         = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidDH          = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x03\x01"
	oidDSA         = "\x06\x07\x2a\x86\x48\xce\x38\x04\x01"
)

// curveNames are the names that CKA_EC_PARAMS may hold in place of an object identifier, as ASCII.
var curveNames = map[string]string{
	"P-224": OIDP224, "P-256": OIDP256, "P-384": OIDP384, "P-521": OIDP521, "S-256": OIDSecp256k1,
	"BP-256R": OIDBP256R1, "BP-384R": OIDBP384R1, "BP-512R": OIDBP512R1,
}

// parameterSets are the values of CKA_IBM_PARAMETER_SET.
var parameterSets = map[uint64][3]string{
	CKK_IBM_ML_DSA: {OIDMLDSA44, OIDMLDSA65, OIDMLDSA87},
	CKK_IBM_ML_KEM: {OIDMLKEM512, OIDMLKEM768, OIDMLKEM1024},
}

// pqcTypes are the key types of the post-quantum identifiers.
var pqcTypes = map[string]uint64{
	OIDDilithiumR2High: CKK_IBM_PQC_DILITHIUM, OIDDilithiumR287: CKK_IBM_PQC_DILITHIUM, OIDDilithiumR344: CKK_IBM_PQC_DILITHIUM,
	OIDDilithiumR365: CKK_IBM_PQC_DILITHIUM, OIDDilithiumR387: CKK_IBM_PQC_DILITHIUM,
	OIDKyberR2768: CKK_IBM_PQC_KYBER, OIDKyberR21024: CKK_IBM_PQC_KYBER,
	OIDMLDSA44: CKK_IBM_ML_DSA, OIDMLDSA65: CKK_IBM_ML_DSA, OIDMLDSA87: CKK_IBM_ML_DSA,
	OIDMLKEM512: CKK_IBM_ML_KEM, OIDMLKEM768: CKK_IBM_ML_KEM, OIDMLKEM1024: CKK_IBM_ML_KEM,
}
