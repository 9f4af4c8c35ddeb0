// SPDX-License-Identifier: Apache-2.0

// Package ceremonyfile is the script of a key ceremony as people write and review it: a YAML file (docs/spec/ceremony.md, "Script file").
//
// It refuses whatever has two readings (package strictyaml), and a script that may not be used: the error names line and column of what has to be
// changed.
package ceremonyfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// what is what errors call the file.
const what = "ceremony script"

// Error says what is wrong with a script file, where, and what to do.
type Error = strictyaml.Error

// Parse reads a script and checks it. Every error is an [*Error].
func Parse(b []byte) (ceremony.Script, error) {
	root, err := strictyaml.Parse(what, "examples/ceremony/first.yaml", b)
	if err != nil {
		return ceremony.Script{}, err
	}
	r := &reader{Reader: strictyaml.Reader{What: what}, places: map[string]*yaml.Node{"": root}}
	s := r.script(root)
	if r.Err != nil {
		return ceremony.Script{}, r.Err
	}
	if err := s.Check(); err != nil {
		return ceremony.Script{}, r.place(err)
	}
	if err := checkWitnesses(s); err != nil {
		return ceremony.Script{}, r.place(&ceremony.ScriptError{Key: "witnesses", Err: err})
	}
	for i, p := range s.Participants {
		if p.Recipient == "" {
			continue
		}
		if _, err := custodian.ParseRecipient(p.Recipient); err != nil {
			return ceremony.Script{}, r.place(&ceremony.ScriptError{Key: fmt.Sprintf("participants[%d].recipient", i),
				Err: fmt.Errorf("%w; 'strongroom custodian key' makes a key and prints its recipient", err)})
		}
	}
	return s, nil
}

// checkWitnesses refuses log witnesses that the genesis of a new domain could not name.
func checkWitnesses(s ceremony.Script) error {
	g := entry.Genesis{Anchor: s.Anchor, Quorum: uint64(s.Quorum)}
	for _, w := range s.Witnesses {
		g.Witnesses = append(g.Witnesses, entry.LogWitness{Name: w.Name, Key: w.Key})
	}
	_, err := authority.LogWitnesses(&g)
	return err
}

// reader reads the values of scripts, and remembers where each stands.
type reader struct {
	strictyaml.Reader
	places map[string]*yaml.Node
}

// place gives the error of a check the place of what it is about, or of what that should stand in.
func (r *reader) place(err error) *Error {
	out := &Error{What: what, Detail: err.Error()}
	var bad *ceremony.ScriptError
	if !errors.As(err, &bad) {
		return out
	}
	out.Path, out.Detail = bad.Key, bad.Err.Error()
	for path := bad.Key; ; {
		if n, ok := r.places[path]; ok {
			out.Line, out.Column = n.Line, n.Column
			return out
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
}

// fields are [strictyaml.Fields] whose places are remembered.
func (r *reader) fields(fs strictyaml.Fields) strictyaml.Fields {
	out := strictyaml.Fields{}
	for key, read := range fs {
		out[key] = func(n *yaml.Node, path string) {
			r.places[path] = n
			read(n, path)
		}
	}
	return out
}

func (r *reader) into(s *string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) { *s = r.Text(n, path) }
}

func (r *reader) number(v *uint32) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) { *v = uint32(r.Number(n, path, 32)) }
}

// hex reads bytes in hex. A row of digits alone is a number to YAML; it is read as it stands.
func (r *reader) hex(v *custody.HexBytes) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		text, ok := r.Scalar(n, path, "bytes in hex", "!!str", "!!int", "!!float")
		if !ok {
			return
		}
		b, err := hex.DecodeString(text)
		if err != nil || len(b) == 0 {
			r.Fail(n, path, "want bytes in hex, got %.80q", text)
			return
		}
		*v = b
	}
}

// list reads a list of texts in the order that they have.
func (r *reader) list(v *[]string) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		r.Sequence(n, path, func(n *yaml.Node, path string) { *v = append(*v, r.Text(n, path)) })
		if r.Err == nil && len(*v) == 0 {
			r.Fail(n, path, "the list is empty; leave the key out")
		}
	}
}

func (r *reader) script(n *yaml.Node) ceremony.Script {
	s := ceremony.Script{}
	var purpose, profile string
	fs := strictyaml.Fields{
		"version":      func(n *yaml.Node, path string) { s.V = uint(r.Number(n, path, 8)) },
		"id":           r.into(&s.ID),
		"title":        r.into(&s.Title),
		"purpose":      r.into(&purpose),
		"profile":      r.into(&profile),
		"threshold":    r.number(&s.Threshold),
		"participants": func(n *yaml.Node, path string) { s.Participants = r.participants(n, path) },
		"entropy":      func(n *yaml.Node, path string) { s.Entropy = r.entropy(n, path) },
		"program":      r.hex(&s.Program),
		"document":     r.hex(&s.Document),
		"domain":       r.hex(&s.Domain),
		"identity":     r.hex(&s.Identity),
		"record":       r.hex(&s.Record),
		"root":         r.into(&s.Root),
		"anchor":       r.into(&s.Anchor),
		"points":       func(n *yaml.Node, path string) { s.Points = r.points(n, path) },
		"witnesses":    func(n *yaml.Node, path string) { s.Witnesses = r.witnesses(n, path) },
		"quorum":       r.number(&s.Quorum),
		"unattended":   func(n *yaml.Node, path string) { s.Unattended = r.Boolean(n, path) },
		"leaving":      r.list(&s.Leaving),
		"joining":      r.list(&s.Joining),
	}
	r.Mapping(n, "", r.fields(fs), "version", "id", "purpose", "profile", "threshold", "participants")
	s.Purpose, s.Profile = ceremony.Purpose(purpose), custody.Profile(profile)
	return s
}

func (r *reader) participants(n *yaml.Node, path string) []ceremony.Participant {
	var out []ceremony.Participant
	r.Sequence(n, path, func(n *yaml.Node, path string) {
		var p ceremony.Participant
		var role string
		r.places[path] = n
		r.Mapping(n, path, r.fields(strictyaml.Fields{
			"role": r.into(&role), "name": r.into(&p.Name), "recipient": r.into(&p.Recipient), "bag": r.into(&p.Bag), "safe": r.into(&p.Safe),
			"key": func(n *yaml.Node, path string) { p.Key = r.key(n, path) },
		}), "role", "name", "key")
		p.Role = ceremony.Role(role)
		out = append(out, p)
	})
	return out
}

func (r *reader) key(n *yaml.Node, path string) request.PublicKey {
	var k request.PublicKey
	var alg string
	var pub custody.HexBytes
	r.Mapping(n, path, strictyaml.Fields{"alg": r.into(&alg), "pub": r.hex(&pub), "rp": r.into(&k.RP), "origin": r.into(&k.Origin)}, "alg", "pub")
	k.Alg, k.Pub = request.Algorithm(alg), pub
	return k
}

func (r *reader) entropy(n *yaml.Node, path string) ceremony.Entropy {
	var e ceremony.Entropy
	r.Mapping(n, path, r.fields(strictyaml.Fields{"sources": r.list(&e.Sources), "dice": r.list(&e.Dice), "rolls": r.number(&e.Rolls)}))
	slices.Sort(e.Sources) // their order has no meaning in a file
	return e
}

func (r *reader) points(n *yaml.Node, path string) *points.Set {
	var names []string
	r.list(&names)(n, path)
	if r.Err != nil {
		return nil
	}
	set, err := points.ParseNames(names)
	if err != nil {
		r.Fail(n, path, "%v", err)
	}
	return &set
}

func (r *reader) witnesses(n *yaml.Node, path string) []ceremony.LogWitness {
	var out []ceremony.LogWitness
	r.Sequence(n, path, func(n *yaml.Node, path string) {
		var w ceremony.LogWitness
		r.Mapping(n, path, strictyaml.Fields{"name": r.into(&w.Name), "key": r.into(&w.Key)}, "name", "key")
		out = append(out, w)
	})
	return out
}
