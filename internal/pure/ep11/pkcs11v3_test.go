// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"errors"
	"testing"
)

// TestStandardNames: a template with PKCS#11 3.2's names is the one with the vendor's, and one with both is refused.
func TestStandardNames(t *testing.T) {
	t.Parallel()
	for standard, vendors := range map[uint64]uint64{CKK_ML_DSA: CKK_IBM_ML_DSA, CKK_ML_KEM: CKK_IBM_ML_KEM} {
		got, err := Template{CKA_KEY_TYPE: Int(standard), CKA_PARAMETER_SET: Int(2)}.Normal()
		if err != nil || got.KeyNumber(CKA_KEY_TYPE, 0) != vendors || len(got) != 2 {
			t.Fatalf("got %v, %v", got, err)
		}
		if set := got.Strength(vendors); string(set) != parameterSets[vendors][1] {
			t.Errorf("parameter set %x", set)
		}
	}
	if _, err := (Template{CKA_PARAMETER_SET: Int(2), CKA_IBM_PARAMETER_SET: Int(2)}).Normal(); !errors.Is(err, CKR_TEMPLATE_INCONSISTENT) {
		t.Errorf("both names gave %v", err)
	}
}
