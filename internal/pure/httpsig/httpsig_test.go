// SPDX-License-Identifier: Apache-2.0

package httpsig_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/dunglas/httpsfv"
	"pgregory.net/rapid"

	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/request"
)

// message is the request of RFC 9421, appendix B.2, and the parts of its response (@status and content of the response are named by the cases).
func message(name string) (string, bool) {
	v, ok := map[string]string{
		"@method": "POST", "@authority": "example.com", "@path": "/foo", "@query": "?param=Value&Pet=dog", "host": "example.com",
		"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18",
		"content-digest": "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
	}[name]
	return v, ok
}

// response is the response of appendix B.2.
func response(name string) (string, bool) {
	v, ok := map[string]string{
		"@status": "200", "content-type": "application/json", "content-length": "23",
		"content-digest": "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
	}[name]
	return v, ok
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestPublished has the signatures of RFC 9421, appendix B.2, of the algorithms that the standard library checks without more: B.2.4 (P-256), B.2.5
// (HMAC, for the base) and B.2.6 (Ed25519).
func TestPublished(t *testing.T) {
	t.Parallel()
	point := append([]byte{0}, unbase64(t, "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA")...)
	y := unbase64(t, "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0")
	point[0] = 2 | y[31]&1
	p256 := request.PublicKey{Alg: request.P256, Pub: point}
	ed := request.PublicKey{Alg: request.Ed25519, Pub: unbase64(t, "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")}
	shared, err := base64.StdEncoding.DecodeString("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, input, signature string
		value                  func(string) (string, bool)
		verify                 func(base, sig []byte) bool
	}{
		{"B.2.4", `sig-b24=("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
			"sig-b24=:wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==:", response, p256.Verify},
		{"B.2.5", `sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:", message, func(base, sig []byte) bool {
				m := hmac.New(sha256.New, shared)
				m.Write(base)
				return hmac.Equal(m.Sum(nil), sig)
			}},
		{"B.2.6", `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:", message, ed.Verify},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in, sig, err := httpsig.ParseFields(c.input, c.signature)
			if err != nil {
				t.Fatal(err)
			}
			base, err := in.Base(c.value)
			if err != nil {
				t.Fatal(err)
			}
			if !c.verify(base, sig) {
				t.Errorf("the published signature does not verify over\n%s", base)
			}
			base[0] ^= 1
			if c.verify(base, sig) {
				t.Error("the signature verifies over something else")
			}
			again, err := httpsig.NewInput(in.Names, in.Params)
			if err != nil || again.String() != in.String() {
				t.Errorf("made again it is %s, %v", again, err)
			}
			label, _, _ := strings.Cut(c.input, "=")
			if a, b := httpsig.Fields(label, in, sig); a != c.input || b != c.signature {
				t.Errorf("the fields are %s and %s", a, b)
			}
		})
	}
}

// The published key of Ed25519 gives the published signature.
func TestPublishedKeySigns(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(unbase64(t, "n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU"))
	in, err := httpsig.NewInput([]string{"date", "@method", "@path", "@authority", "content-type", "content-length"}, httpsig.Params{Created: 1618884473, KeyID: "test-key-ed25519"})
	if err != nil {
		t.Fatal(err)
	}
	base, err := in.Base(message)
	if err != nil {
		t.Fatal(err)
	}
	want := "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
	if got := base64.StdEncoding.EncodeToString(ed25519.Sign(key, base)); got != want {
		t.Errorf("got %s", got)
	}
}

// RFC 9530, appendix B.1: the digest of a JSON body; and that of nothing.
func TestDigest(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"hello": "world"}` + "\n": "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
		`{"hello": "world"}`:        "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:",
		"":                          "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
	} {
		if got := httpsig.Digest([]byte(body)); got != want {
			t.Errorf("digest of %q: got %s, want %s", body, got, want)
		}
	}
}

func TestInputsRefused(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		``, `(`, `)`, `"@method"`, `("@method"`, `(@method)`, `("@method""@path")`, `("@method"  "@path")`, `( "@method")`, `("@method" )`, `("@Method")`, `("@method";req)`,
		`("@query-param";name="Pet")`, `("@method" "@method")`, `("@signature-params")`, `("")`, `("@")`, `("@method") ;created=1`, `("@method");created=01`, `("@method");created=1.0`,
		`("@method");created=-1`, `("@method");created="1"`, `("@method");created=1234567890123456`, `("@method");created`, `("@method");created=1;created=1`, `("@method");keyid=a`,
		`("@method");keyid=""`, `("@method");keyid="a\"b"`, `("@method");keyid="ä"`, `("@method");other=1`, `("@method");;`, `("@method");`, `("@method");keyid="a";`, `("@method")created=1`,
		`("@method");keyid="` + strings.Repeat("a", httpsig.MaxString+1) + `"`, "(\"@method\");keyid=\"a\nb\"", `("@method");keyid="a`,
	} {
		if in, err := httpsig.ParseInput(s); err == nil {
			t.Errorf("%s was taken as %+v", s, in)
		}
	}
	var many []string
	for i := range httpsig.MaxComponents + 1 {
		many = append(many, "a"+string(rune('a'+i)))
	}
	if _, err := httpsig.NewInput(many, httpsig.Params{}); err == nil {
		t.Error("too many components were taken")
	}
	if in, err := httpsig.ParseInput(`("@method");nonce="a;b;c";keyid="k"`); err != nil || in.Params.Nonce != "a;b;c" {
		t.Errorf("a semicolon in quotes: %+v, %v", in, err)
	}
}

func TestFieldsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{`("@method")`, "a=:AA==:"}, {`A=("@method")`, "A=:AA==:"}, {`1=("@method")`, "1=:AA==:"}, {`a=("@method"), b=("@method")`, "a=:AA==:"}, {`a=("@method")`, "b=:AA==:"},
		{`a=("@method")`, "a=AA=="}, {`a=("@method")`, "a=:AA==:, b=:AA==:"}, {`a=("@method")`, "a=:AA:"}, {`a=("@method")`, "a=:"}, {`a=("@method")`, ""}, {`a=("@method")`, "a=:AB==:"},
		{`a=("@method")`, "a=:AA\n==:"},
	} {
		if in, sig, err := httpsig.ParseFields(c[0], c[1]); err == nil {
			t.Errorf("%s and %s were taken: %+v %x", c[0], c[1], in, sig)
		}
	}
}

func TestBasesRefused(t *testing.T) {
	t.Parallel()
	good := "\"@method\": POST\n\"@path\": /\n\"@signature-params\": (\"@method\" \"@path\");created=1"
	if s, err := httpsig.ParseBase([]byte(good)); err != nil || len(s.Components) != 2 || s.Params.Created != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	for _, b := range []string{
		"", good + "\n", "\n" + good, strings.Replace(good, "\n", "\r\n", 1), strings.Replace(good, `" "`, `"  "`, 1), strings.Replace(good, "POST", "POST ", 1), strings.Replace(good, "POST", " POST", 1),
		strings.Replace(good, "POST", "P\x00ST", 1), strings.Replace(good, `"@method": `, `"@Method": `, 1), strings.Replace(good, "\"@path\": /\n", "", 1),
		"\"@path\": /\n\"@method\": POST\n\"@signature-params\": (\"@method\" \"@path\");created=1", good + strings.Repeat(" ", httpsig.MaxBase),
	} {
		if s, err := httpsig.ParseBase([]byte(b)); err == nil {
			t.Errorf("%q was taken: %+v", b, s)
		}
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	p := httpsig.Params{Created: 100, Expires: 100 + httpsig.Window, Nonce: strings.Repeat("n", httpsig.MinNonce), KeyID: "k", Tag: httpsig.Tag}
	all := httpsig.Components(true, true)
	for name, c := range map[string]struct {
		names  []string
		change func(*httpsig.Params)
		ok     bool
	}{
		"good":            {all, func(*httpsig.Params) {}, true},
		"with algorithm":  {append(slices.Clone(all), httpsig.ContentType), func(p *httpsig.Params) { p.Alg = httpsig.P256 }, true},
		"a field besides": {append(slices.Clone(all), "date"), func(*httpsig.Params) {}, false},
		"one less":        {all[1:], func(*httpsig.Params) {}, false},
		"no tag":          {all, func(p *httpsig.Params) { p.Tag = "" }, false},
		"no key":          {all, func(p *httpsig.Params) { p.KeyID = "" }, false},
		"short nonce":     {all, func(p *httpsig.Params) { p.Nonce = p.Nonce[1:] }, false},
		"long nonce":      {all, func(p *httpsig.Params) { p.Nonce = strings.Repeat("n", httpsig.MaxNonce+1) }, false},
		"ends at once":    {all, func(p *httpsig.Params) { p.Expires = p.Created }, false},
		"too long":        {all, func(p *httpsig.Params) { p.Expires++ }, false},
		"no creation":     {all, func(p *httpsig.Params) { p.Created = 0 }, false},
		"algorithm":       {all, func(p *httpsig.Params) { p.Alg = "hmac-sha256" }, false},
	} {
		q := p
		c.change(&q)
		in, err := httpsig.NewInput(c.names, q)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := in.CheckProfile(all); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	for host, want := range map[string]string{"Example.ORG:443": "example.org", "example.org": "example.org", "[::1]:7443": "[::1]:7443"} {
		if got := httpsig.AuthorityOf(host); got != want {
			t.Errorf("authority of %s: got %s, want %s", host, got, want)
		}
	}
}

// What an input is made of comes out of the base again.
func TestBaseGoesBothWays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`@?[a-z][a-z0-9_-]{0,10}`), 0, httpsig.MaxComponents, rapid.ID[string]).Filter(func(n []string) bool { return !slices.Contains(n, "@signature-params") }).Draw(t, "names")
		str := rapid.StringMatching(`([ !#-\[\]-~]{1,40})?`)
		p := httpsig.Params{Created: rapid.Int64Range(0, 1<<40).Draw(t, "created"), Expires: rapid.Int64Range(0, 1<<40).Draw(t, "expires"), Nonce: str.Draw(t, "nonce"), KeyID: str.Draw(t, "key"),
			Alg: str.Draw(t, "alg"), Tag: str.Draw(t, "tag")}
		in, err := httpsig.NewInput(names, p)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{}
		for _, n := range names {
			values[n] = strings.TrimSpace(rapid.StringMatching(`[ -~]{0,40}`).Draw(t, "value"))
		}
		base, err := in.Base(func(n string) (string, bool) { v, ok := values[n]; return v, ok })
		if err != nil {
			t.Fatal(err)
		}
		s, err := httpsig.ParseBase(base)
		if err != nil {
			t.Fatalf("%v: %s", err, base)
		}
		if s.Params != p || !slices.Equal(s.Names, names) {
			t.Fatalf("got %+v", s)
		}
		for n, v := range values {
			if got, ok := s.Value(n); !ok || got != v {
				t.Fatalf("%s: got %q, want %q", n, got, v)
			}
		}
	})
}

// FuzzBase: a base that is taken has one reading, which gives it again.
func FuzzBase(f *testing.F) {
	in, err := httpsig.NewInput(httpsig.Components(true, true), httpsig.Params{Created: 1, Expires: 2, Nonce: "n", KeyID: "k", Tag: "t"})
	if err != nil {
		f.Fatal(err)
	}
	base, err := in.Base(func(string) (string, bool) { return "v", true })
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base)
	f.Add([]byte("\"date\": x\n\"@signature-params\": (\"date\");alg=\"a\""))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := httpsig.ParseBase(b)
		if err != nil {
			return
		}
		again, err := s.Base(s.Value)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%q was read as %+v, which gives %q, %v", b, s, again, err)
		}
	})
}

// FuzzFields: what is taken, another reader of structured fields reads in the same way.
func FuzzFields(f *testing.F) {
	f.Add(`sig1=("@method" "@path");created=1618884473;keyid="test-key"`, "sig1=:AAEC:")
	f.Add(`*a.b-c_9=();nonce="a;b"`, "*a.b-c_9=::")
	f.Fuzz(func(t *testing.T, input, signature string) {
		in, sig, err := httpsig.ParseFields(input, signature)
		if err != nil {
			return
		}
		d, err := httpsfv.UnmarshalDictionary([]string{input})
		if err != nil || len(d.Names()) != 1 {
			t.Fatalf("another reader: %v of %q", err, input)
		}
		m, _ := d.Get(d.Names()[0])
		list, ok := m.(httpsfv.InnerList)
		if !ok || len(list.Items) != len(in.Names) {
			t.Fatalf("another reader sees %+v in %q", m, input)
		}
		for i, x := range list.Items {
			if x.Value != in.Names[i] || len(x.Params.Names()) > 0 {
				t.Fatalf("component %d of %q is %v", i, input, x.Value)
			}
		}
		want := map[string]any{"created": in.Params.Created, "expires": in.Params.Expires, "nonce": in.Params.Nonce, "keyid": in.Params.KeyID, "alg": in.Params.Alg, "tag": in.Params.Tag}
		for name, v := range want {
			other, there := list.Params.Get(name)
			if zero := v == int64(0) || v == ""; there == zero || there && other != v {
				t.Fatalf("parameter %s of %q: %v, and %v", name, input, v, other)
			}
		}
		s, err := httpsfv.UnmarshalDictionary([]string{signature})
		if err != nil {
			t.Fatalf("another reader: %v of %q", err, signature)
		}
		x, _ := s.Get(d.Names()[0])
		if item, ok := x.(httpsfv.Item); !ok || hex.EncodeToString(item.Value.([]byte)) != hex.EncodeToString(sig) {
			t.Fatalf("another reader sees %+v in %q", x, signature)
		}
		if a, err := httpsfv.Marshal(d); err != nil || a != input {
			t.Fatalf("another writer gives %q for %q, %v", a, input, err)
		}
	})
}
