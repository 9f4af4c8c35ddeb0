// SPDX-License-Identifier: Apache-2.0

package words_test

import (
	"strings"
	"testing"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// All that a grant allows is shown to who signs it.
func TestGrantShowsAll(t *testing.T) {
	t.Parallel()
	b := &request.AppGrantBody{Grant: "payments", Caller: "token:ci", Gateway: "p_zzzzzzzzzzzzzzzz", Functions: []request.AppFunction{request.AppSign}, Mechanisms: []uint64{0x1041, 0x80010099}, Rate: 11, Burst: 22, NotAfter: 1_900_000_000}
	got := strings.Join(words.Body(b, ""), "\n")
	for _, want := range []string{`"payments"`, "token:ci", "p_zzzzzzzzzzzzzzzz", "sign", "CKM_ECDSA", "80010099", "11 calls a second", "22 at once", "2030-03-17", "all that this caller has made"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, not := range []string{"uses in all", "outside", "compatibility"} {
		if strings.Contains(got, not) {
			t.Errorf("%q is in\n%s", not, got)
		}
	}
	b.MaxUses, b.Import, b.Compat, b.Keys = 33, true, true, []custody.KeyID{"00112233445566778899aabbccddeeff"}
	got = strings.Join(words.Body(b, ""), "\n")
	for _, want := range []string{"33 uses in all", "outside", "compatibility", "00112233445566778899aabbccddeeff"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	e, until := request.AppEffectsOf(b)
	effects := strings.Join(words.Effects(request.Effects{Operation: request.AppGrant, App: &e, Until: until}, request.Bounds{}), "\n")
	if !strings.Contains(effects, "payments") || !strings.Contains(effects, "token:ci") {
		t.Error(effects)
	}
	if got := strings.Join(words.Body(&request.AppKeyRevokeBody{Keys: b.Keys}, ""), "\n"); !strings.Contains(got, string(b.Keys[0])) || !strings.Contains(got, "for ever") {
		t.Error(got)
	}
}
