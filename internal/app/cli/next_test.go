// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// A hint has every flag that the next command needs, as a shell reads it.
func TestNextCommand(t *testing.T) {
	t.Parallel()
	soft := coreFlags{Data: "d", trustFlags: trustFlags{Root: rootSoft, Anchor: "file", TPMPCRs: "7"}}
	hard := coreFlags{Data: "a folder", Memory: 4194304, trustFlags: trustFlags{Root: rootPKCS11, PKCS11Module: "/lib/x.so", PKCS11Token: "Anna's token", TPM: "tpm/tpm", Anchor: "witness+tpm"}}
	clock := clockFlags{TimeSources: "time.json", RelayNTP: []string{"a=127.0.0.1:1", "b=[::1]:2"}, RelayNTS: []string{"c=x:3"}}
	for _, x := range []struct{ got, want string }{
		{soft.again(), ""},
		{hard.again(), ` --root pkcs11 --pkcs11-module /lib/x.so --pkcs11-token 'Anna'\''s token' --tpm tpm/tpm --memory 4194304`},
		{soft.next(custody.Evaluation, clockFlags{}), "strongroom up --data d"},
		{soft.next(custody.Evaluation, clock), "strongroom up --data d --time-sources time.json --relay-ntp a=127.0.0.1:1 --relay-ntp 'b=[::1]:2' --relay-nts c=x:3"},
		{hard.next(custody.Production, clockFlags{}), `strongroom core run --data 'a folder'` + hard.again() +
			" --time-sources FILE, and as another user strongroom serve, whose relay has the addresses of time sources and log witnesses; deploy/ has the units"},
		{flagsOf(entry.Genesis{Root: rootSoft, Anchor: "file"}), ""},
		{flagsOf(entry.Genesis{Root: rootTPM2, Anchor: "witness"}), " --root tpm2, with what the genesis was prepared with: --tpm PATH where it is not /dev/tpmrm0, --memory BYTES where it was given"},
		{arg(""), "''"},
	} {
		if x.got != x.want {
			t.Errorf("got  %s\nwant %s", x.got, x.want)
		}
	}
}
