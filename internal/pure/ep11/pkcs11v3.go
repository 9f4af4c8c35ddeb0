// SPDX-License-Identifier: Apache-2.0

package ep11

// The numbers that PKCS#11 3.2 (OASIS, "Mechanisms", sections on ML-KEM and ML-DSA) gives the post-quantum standards. Keys have the vendor's types
// and attributes inside; these names of the same things are taken wherever a caller gives one.
const (
	CKM_ML_KEM_KEY_PAIR_GEN = 0xf
	CKM_ML_KEM              = 0x17
	CKM_ML_DSA_KEY_PAIR_GEN = 0x1c
	CKM_ML_DSA              = 0x1d
	CKK_ML_KEM              = 0x49
	CKK_ML_DSA              = 0x4a
	CKA_PARAMETER_SET       = 0x61d
)

// vendorsName gives an attribute of a template under the vendor's name, and its value: the parameter set, and the two key types.
func vendorsName(cka uint64, v Attribute) (uint64, Attribute) {
	switch cka {
	case CKA_PARAMETER_SET:
		return CKA_IBM_PARAMETER_SET, v
	case CKA_KEY_TYPE:
		if v.Int != nil && *v.Int == CKK_ML_DSA {
			return cka, Int(CKK_IBM_ML_DSA)
		}
		if v.Int != nil && *v.Int == CKK_ML_KEM {
			return cka, Int(CKK_IBM_ML_KEM)
		}
	}
	return cka, v
}
