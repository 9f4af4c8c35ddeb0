// SPDX-License-Identifier: Apache-2.0

// Package archtest is the import law of the project, as tests on our own sources: which ring may import what, where the clock may be read,
// where state may live, and what every file must and must not hold. It has tests only.
//
// It parses the sources itself. What it opens, the test cache notices; what a program like go list opens, it does not.
package archtest

import "strings"

// module is the path of our module.
const module = "strongroom"

// ring is a set of folders under one law. Patterns are import paths; "x/..." is x and everything below it.
type ring struct {
	name    string
	folders []string // below the module's root, with everything below them; the longest match decides
	may     []string // rings it may import besides itself
	apart   bool     // each folder directly below is on its own: no imports between them
	never   []string // patterns that are refused from anywhere
	outside []string // patterns of other modules that are allowed; nil allows all
	clock   bool     // may read the clock
	still   bool     // no goroutines, no timers
	frozen  bool     // no init and no package variables but sentinels and tables
}

// curves are modules for public curve points and parsed keys; secret work has one backend, in core.
var curves = []string{"github.com/decred/dcrd/dcrec/secp256k1/v4/...", "gitlab.com/yawning/secp256k1-voi/...", "filippo.io/edwards25519/..."}

var pureOutside = append([]string{
	"github.com/fxamacker/cbor/v2", "cel.dev/cel-go/...", "golang.org/x/crypto/...", "golang.org/x/mod/sumdb/...",
	"github.com/transparency-dev/merkle/...",
}, curves...)

var coreOutside = append([]string{
	"golang.org/x/sys/unix", "golang.org/x/sys/cpu", "github.com/supranational/blst/bindings/go", "filippo.io/mldsa", "github.com/miekg/pkcs11/...", "github.com/google/go-tpm/...", "filippo.io/age/...",
	"filippo.io/bigmod", "filippo.io/nistec",
	"github.com/cloudflare/circl/dh/x448", "github.com/cloudflare/circl/ecc/goldilocks", "github.com/cloudflare/circl/sign/ed448",
	"github.com/cloudflare/circl/sign/dilithium/mode2", "github.com/cloudflare/circl/sign/dilithium/mode3", "github.com/cloudflare/circl/sign/dilithium/mode5",
}, pureOutside...)

// rings is the law: STYLE section 1.
var rings = []ring{
	{name: "secret", folders: []string{"internal/secret"}, never: []string{"net/...", "os/exec", "log"}, outside: []string{"golang.org/x/sys/unix"}, frozen: true},
	{name: "pure", folders: []string{"internal/pure"}, may: []string{"secret"},
		never:   []string{"net/...", "os/...", "syscall/...", "unsafe", "log/...", "crypto/rand", "math/rand/...", "C", "plugin"},
		outside: pureOutside, still: true, frozen: true},
	{name: "gate", folders: []string{"internal/gate"}, may: []string{"secret", "pure"}, never: []string{"net/http/...", "os/exec", "unsafe", "C", "plugin"},
		outside: []string{}},
	{name: "core", folders: []string{"internal/core", "internal/core/selftest"}, may: []string{"secret", "pure", "gate"},
		never: []string{"net/http/...", "os/exec", "plugin", "encoding/gob", "log"}, outside: coreOutside, frozen: true},
	{name: "svc", folders: []string{"internal/svc"}, may: []string{"secret", "pure", "gate"}, never: []string{"net/http/...", "os/exec", "unsafe", "C", "plugin"}, frozen: true},
	{name: "edge", folders: []string{"internal/edge"}, may: []string{"secret", "pure", "gate", "svc", "api", "web"}, apart: true,
		never: []string{"plugin", "unsafe", "C"}},
	{name: "app", folders: []string{"internal/app"}, may: []string{"secret", "pure", "gate", "core", "svc", "edge", "verify", "client", "api", "web"}, clock: true},
	{name: "verify", folders: []string{"verify"}, may: []string{"pure"}, never: []string{"net/...", "os/exec"}, outside: pureOutside},
	{name: "client", folders: []string{"client"}, may: []string{"pure", "verify", "api"}, never: []string{"plugin", "unsafe", "C"}},
	{name: "api", folders: []string{"api"}},
	{name: "web", folders: []string{"web"}},
	{name: "cmd", folders: []string{"cmd"}, may: []string{"app"}},
	// The two programs that must not link everything have mains of their own.
	{name: "cmd core", folders: []string{"cmd/strongroom-core"}, may: []string{"secret", "pure", "gate", "core", "app"}, never: []string{"net/http/...", "os/exec", "plugin"}},
	{name: "cmd verify", folders: []string{"cmd/strongroom-verify"}, may: []string{"pure", "verify", "app"}, never: []string{"net/...", "os/exec", "plugin"}},
	{name: "test", folders: []string{"test", "scripts", "internal/archtest", "internal/vectors", "internal/lawtest", "internal/nodestest", "internal/pgtest"},
		may: []string{"secret", "pure", "gate", "core", "svc", "edge", "app", "verify", "client", "api", "web"}, clock: true},
}

// testRing is the ring of packages that exist for tests. A folder whose name ends in "test" belongs to it wherever it lies, for instance
// the conformance suite of a store; nothing that ships imports one, nor any of testOnly. A folder that a ring names itself is of that ring:
// the self-tests of the core ship.
const testRing = "test"

var testOnly = []string{"testing/...", "pgregory.net/rapid", "net/http/httptest"}

// closures are the rings that may be linked into a program at all, whoever imports them.
var closures = map[string][]string{
	"cmd/strongroom-core":   {"cmd core", "app", "core", "gate", "pure", "secret"},
	"cmd/strongroom-verify": {"cmd verify", "app", "verify", "pure", "secret"},
}

// bannedElements are elements of import paths that pure and core never import: their secret work is not constant time, and their formats
// have a decoder of our own. Tests may, for a second opinion.
var (
	bannedElements = []string{"btcec", "hdkeychain"}
	bannedRings    = []string{"pure", "core", "cmd core"}
)

// clockReads are the functions of package time that read the clock; timers are those that wait for it.
var (
	clockReads = []string{"Now", "Since", "Until"}
	timers     = []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Sleep", "Tick"}
)

// matches reports whether an import path is covered by a pattern.
func matches(pattern, path string) bool {
	base, tree := strings.CutSuffix(pattern, "/...")
	return path == base || tree && strings.HasPrefix(path, base+"/")
}

func matchesAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if matches(p, path) {
			return true
		}
	}
	return false
}

// ringOf gives the ring of a folder, nil if it lies in none.
func ringOf(folder string) *ring {
	var found *ring
	longest := -1
	for i := range rings {
		for _, f := range rings[i].folders {
			if len(f) > longest && matches(f+"/...", folder) {
				found, longest = &rings[i], len(f)
			}
		}
	}
	if found == nil || found.name == testRing || !strings.HasSuffix(folder, "test") || longest == len(folder) {
		return found
	}
	return &rings[len(rings)-1]
}

// ours gives the folder of one of our packages.
func ours(importPath string) (folder string, ok bool) {
	if importPath == module {
		return ".", true
	}
	return strings.CutPrefix(importPath, module+"/")
}

// standard reports whether an import path is of the standard library: its first element has no dot.
func standard(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return !strings.Contains(first, ".")
}
