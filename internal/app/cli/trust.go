// SPDX-License-Identifier: Apache-2.0

package cli

// trustFlags say what the core stands on. The domain's genesis names root and anchor; the core refuses to start with others.
type trustFlags struct {
	Root         string `enum:"soft,pkcs11,tpm2" default:"soft" help:"Root of trust: soft, a file that a passphrase opens (evaluation); pkcs11, a token; tpm2, a TPM. Fixed when the domain is made."`
	PKCS11Module string `name:"pkcs11-module" placeholder:"PATH" help:"Library of the token."`
	PKCS11Token  string `name:"pkcs11-token" placeholder:"LABEL" help:"Label or serial number of the token."`
	Anchor       string `placeholder:"KIND" help:"Where the head of a new domain's log is kept: file (the default; evaluation), tpm (a file whose state a TPM counts), witness (log witnesses of other people) or witness+tpm. It never changes."`
	TPM          string `name:"tpm" placeholder:"PATH" help:"Device of the TPM, or socket of an emulator; default /dev/tpmrm0."`
	TPMPCRs      string `name:"tpm-pcrs" placeholder:"LIST" help:"PCRs that a new tpm2 root is bound to, with commas, or none; default 7. An existing root keeps its own."`
}

// args gives arguments of strongroom-core.
func (f trustFlags) args() []string {
	var out []string
	for _, x := range []struct{ name, value string }{{"--root", f.Root}, {"--pkcs11-module", f.PKCS11Module}, {"--pkcs11-token", f.PKCS11Token},
		{"--anchor", f.Anchor}, {"--tpm", f.TPM}, {"--tpm-pcrs", f.TPMPCRs}} {
		if x.value != "" {
			out = append(out, x.name, x.value)
		}
	}
	return out
}
