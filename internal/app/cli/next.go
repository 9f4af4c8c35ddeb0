// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strconv"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// again gives the flags that the next command on the same folder needs too, as one would type them; empty, or with a space before.
func (c coreFlags) again() string {
	var out []string
	if c.Root != rootSoft {
		out = append(out, "--root", c.Root)
	}
	for _, x := range []struct{ name, value string }{{"--pkcs11-module", c.PKCS11Module}, {"--pkcs11-token", c.PKCS11Token}, {"--tpm", c.TPM}} {
		if x.value != "" {
			out = append(out, x.name, arg(x.value))
		}
	}
	if c.Memory != 0 {
		out = append(out, "--memory", strconv.Itoa(c.Memory))
	}
	if c.WeakPassphraseUnsafe {
		out = append(out, "--weak-passphrase-unsafe")
	}
	if len(out) == 0 {
		return ""
	}
	return " " + strings.Join(out, " ")
}

// next says how core and serve are started.
func (c coreFlags) next(profile custody.Profile, clock clockFlags) string {
	if profile == custody.Production {
		return "strongroom core run --data " + arg(c.Data) + c.again() + " --time-sources " + argOr(clock.TimeSources, "FILE") +
			", and as another user strongroom serve, whose relay has the addresses of time sources and log witnesses; deploy/ has the units"
	}
	return "strongroom up --data " + arg(c.Data) + c.again() + clock.again()
}

// flagsOf gives the flags that follow from a genesis, and says which it can't know.
func flagsOf(g entry.Genesis) string {
	var need []string
	if g.Root == rootPKCS11 {
		need = append(need, "--pkcs11-module PATH --pkcs11-token LABEL")
	}
	out := ""
	if g.Root != rootSoft {
		out = " --root " + g.Root
	}
	if g.Root == rootTPM2 || strings.Contains(g.Anchor, "tpm") {
		need = append(need, "--tpm PATH where it is not /dev/tpmrm0")
	}
	if len(need) == 0 {
		return out
	}
	return out + ", with what the genesis was prepared with: " + strings.Join(need, ", ") + ", --memory BYTES where it was given"
}

// arg writes an argument as a shell reads it.
func arg(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@%+,", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// argOr is [arg], or what stands for an argument that is not given.
func argOr(s, other string) string {
	if s == "" {
		return other
	}
	return arg(s)
}
