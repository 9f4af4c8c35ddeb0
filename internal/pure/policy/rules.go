// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"iter"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Rules is a document made ready for decisions. It is immutable and safe for concurrent use.
type Rules struct {
	doc       Document
	hash      [32]byte
	persons   map[custody.PersonID]*person
	keys      map[request.KeyRef]keyOwner
	groups    map[custody.GroupID][]custody.PersonID
	book      map[bookKey]string
	blocked   map[bookKey]struct{}
	guards    []matcher // as doc.Guards
	routes    []matcher // as doc.Routes
	limits    []matcher // as doc.Limits
	contracts contractIndex
	guardAt   map[request.Operation]*index
	routeAt   map[request.Operation]*index
	limitAt   map[request.Operation]*index
	exprs     int                     // different expressions
	meters    map[string]*meterNaming // by limit

	obligations  []matcher // as doc.Obligations
	obligationAt map[request.Operation]*index

	hardware map[custody.PersonID]bool // who has a passkey

	asksTime, asksTemperature bool // a rule does
	delayed                   bool // [Rules.Delayed]
	remembers, remembersPaid  bool // [Document.Remembers], [Document.RemembersPaid]

	currencies []string // [Rules.Currencies]
	screens    []string // [Rules.Screens]
}

type person struct {
	Principal
	groups    []custody.GroupID // sorted
	groupList ref.Val           // the same, for expressions
}

func (p *person) in(g custody.GroupID) bool {
	_, ok := slices.BinarySearch(p.groups, g)
	return ok
}

type keyOwner struct {
	person custody.PersonID
	key    request.PublicKey
}

type bookKey struct {
	chain   custody.ChainID
	address string
}

// index finds the rules that may match facts of one operation: those that name none of the attributes by which it files, and those that name the
// request's. Each list is in the order of the document, and each rule is in lists of one attribute only.
type index struct {
	every []int
	by    map[filed][]int
	all   []int // both, for telling why nothing matched
}

// filed is a value of an attribute by which rules are filed.
type filed struct {
	by    field
	value string
}

// of gives the rules for facts in the order of the document.
func (x *index) of(f *Facts) iter.Seq[int] {
	return func(yield func(int) bool) {
		lists := [...][]int{x.every, x.by[filed{fWallets, string(f.Wallet)}], x.by[filed{fAssets, string(f.Asset)}], x.by[filed{fPrincipals, string(f.Initiator)}],
			x.by[filed{fChains, string(f.Chain)}]}
		for {
			first := -1
			for i, l := range lists {
				if len(l) > 0 && (first < 0 || l[0] < lists[first][0]) {
					first = i
				}
			}
			if first < 0 || !yield(lists[first][0]) {
				return
			}
			lists[first] = lists[first][1:]
		}
	}
}

// file puts rule number i where facts that it may match are looked up: under the attribute that most likely leaves few.
func (x *index) file(i int, m *Match) {
	switch {
	case len(m.Wallets) > 0:
		fileBy(x, i, fWallets, m.Wallets)
	case len(m.Assets) > 0:
		fileBy(x, i, fAssets, m.Assets)
	case len(m.Initiators) > 0:
		fileBy(x, i, fPrincipals, m.Initiators)
	case len(m.Chains) > 0:
		fileBy(x, i, fChains, m.Chains)
	default:
		x.every = append(x.every, i)
	}
}

func fileBy[T ~string](x *index, i int, by field, values []T) {
	for _, v := range values {
		k := filed{by, string(v)}
		x.by[k] = append(x.by[k], i)
	}
}

func indexOf(ms []matcher) map[request.Operation]*index {
	out := make(map[request.Operation]*index)
	for _, o := range request.Operations() {
		x := &index{by: make(map[filed][]int)}
		for i := range ms {
			m := &ms[i].m
			if len(m.Operations) > 0 && !slices.Contains(m.Operations, o) {
				continue
			}
			x.all = append(x.all, i)
			x.file(i, m)
		}
		out[o] = x
	}
	return out
}

// Compile checks d as [Document.Check] does for the evaluation profile, which asks for least, and makes it ready.
func Compile(d Document) (*Rules, error) {
	if err := d.form(); err != nil {
		return nil, err
	}
	// A copy of its own: the caller may change the slices it holds.
	var own Document
	b := d.Encode()
	if len(b) > MaxDocument {
		return nil, d.bad("has %d bytes, more than %d", len(b), MaxDocument)
	}
	if err := canon.Decode(b, &own); err != nil {
		return nil, d.bad("%w", err)
	}
	r := &Rules{
		doc:      own,
		hash:     canon.HashBytes(canon.TagPolicy, b),
		persons:  make(map[custody.PersonID]*person, len(own.Principals)),
		keys:     make(map[request.KeyRef]keyOwner, len(own.Principals)),
		groups:   make(map[custody.GroupID][]custody.PersonID, len(own.Groups)),
		book:     make(map[bookKey]string, len(own.AddressBook)),
		blocked:  make(map[bookKey]struct{}, len(own.Blacklist)),
		hardware: make(map[custody.PersonID]bool),
	}
	r.people()
	for _, e := range own.AddressBook {
		r.book[bookKey{e.Chain, e.Address}] = e.ID
	}
	for _, b := range own.Blacklist {
		r.blocked[bookKey{b.Chain, b.Address}] = struct{}{}
	}
	if err := r.compileMatches(); err != nil {
		return nil, err
	}
	if err := r.indexContracts(); err != nil {
		return nil, err
	}
	r.guardAt, r.routeAt, r.limitAt, r.obligationAt = indexOf(r.guards), indexOf(r.routes), indexOf(r.limits), indexOf(r.obligations)
	r.nameMeters()
	r.delayed, r.currencies, r.screens = own.delayed(), own.currencies(), own.screens()
	r.remembers, r.remembersPaid = own.Remembers(), own.RemembersPaid()
	if err := r.satisfiable(true); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Rules) people() {
	for _, p := range r.doc.Principals {
		r.persons[p.ID] = &person{Principal: p}
		for _, k := range p.Keys {
			r.keys[k.Ref()] = keyOwner{p.ID, k}
			if k.Passkey() {
				r.hardware[p.ID] = true
			}
		}
	}
	for _, g := range r.doc.Groups { // sorted by id, so each person's groups are too
		r.groups[g.ID] = g.Members
		for _, m := range g.Members {
			r.persons[m].groups = append(r.persons[m].groups, g.ID)
		}
	}
	for _, p := range r.persons {
		names := make([]string, len(p.groups))
		for i, g := range p.groups {
			names[i] = string(g)
		}
		p.groupList = types.NewStringList(types.DefaultTypeAdapter, names)
	}
}

func (r *Rules) compileMatches() error {
	type compiled struct {
		prog cel.Program
		n    int
	}
	var e *cel.Env // made when the first expression needs it
	seen := make(map[string]compiled)
	ready := func(what, id string, m Match) (matcher, error) {
		r.asks(&m)
		if m.Expr == "" {
			return matcher{m: m}, nil
		}
		c, ok := seen[m.Expr]
		if !ok {
			if len(seen) == MaxExprs {
				return matcher{}, r.doc.bad("%s %s: the document has more than %d different expressions; use table fields", what, id, MaxExprs)
			}
			var err error
			if e == nil {
				if e, err = newEnv(); err != nil {
					return matcher{}, err
				}
			}
			if c.prog, err = compileExpr(e, m.Expr); err != nil {
				return matcher{}, r.doc.bad("%s %s: when.expr %w", what, id, err)
			}
			c.n = len(seen)
			seen[m.Expr] = c
		}
		return matcher{m: m, prog: c.prog, expr: c.n}, nil
	}
	for _, g := range r.doc.Guards {
		m, err := ready("guard", g.ID, g.When)
		if err != nil {
			return err
		}
		r.guards = append(r.guards, m)
	}
	for _, rt := range r.doc.Routes {
		m, err := ready("route", rt.ID, rt.When)
		if err != nil {
			return err
		}
		r.routes = append(r.routes, m)
	}
	for _, l := range r.doc.Limits {
		m, err := ready("limit", l.ID, l.When)
		if err != nil {
			return err
		}
		r.limits = append(r.limits, m)
	}
	for _, o := range r.doc.Obligations {
		m, err := ready("obligation", o.ID, o.When)
		if err != nil {
			return err
		}
		r.obligations = append(r.obligations, m)
	}
	r.exprs = len(seen)
	return nil
}

// Document gives the document. It shares memory with r and must not be changed.
func (r *Rules) Document() Document { return r.doc }

// Hash names the document, as [Document.Hash].
func (r *Rules) Hash() [32]byte { return r.hash }

// Version is the document's version.
func (r *Rules) Version() uint64 { return r.doc.Version }

// Floor is what holds for every request.
func (r *Rules) Floor() Floor { return r.doc.Floor }

// Principal finds a person or service, active or not. The result shares memory with r and must not be changed.
func (r *Rules) Principal(id custody.PersonID) (Principal, bool) {
	p, ok := r.persons[id]
	if !ok {
		return Principal{}, false
	}
	return p.Principal, true
}

// Key finds a key by its name, and whose it is. The owner may be inactive: who asks for evidence or an approval must look.
func (r *Rules) Key(k request.KeyRef) (Principal, request.PublicKey, bool) {
	o, ok := r.keys[k]
	if !ok {
		return Principal{}, request.PublicKey{}, false
	}
	return r.persons[o.person].Principal, o.key, true
}

// Book finds an address, in its canonical spelling, in the address book.
func (r *Rules) Book(c custody.ChainID, address string) (id string, ok bool) {
	id, ok = r.book[bookKey{c, address}]
	return id, ok
}

// InGroup says whether somebody is a member of a group. Members are active: a revoked person is in none.
func (r *Rules) InGroup(p custody.PersonID, g custody.GroupID) bool {
	_, ok := slices.BinarySearch(r.groups[g], p)
	return ok
}
