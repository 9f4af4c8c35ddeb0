// SPDX-License-Identifier: Apache-2.0

package tokenkey

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"strongroom/internal/pure/custody"
)

// Scheme is how the URI of a key in a token begins.
const Scheme = "pkcs11:"

// maxURI is the longest URI that is read, in bytes.
const maxURI = 2048

// URI names a key in a token (RFC 7512). What is empty is not asked for.
type URI struct {
	Token, Serial, Manufacturer, Model string // of the token
	Object                             string // label of the key
	ID                                 []byte // of the key, CKA_ID
	Module                             string // path of the PKCS#11 library
	PINFile                            string // file with the PIN, one line
	Person                             custody.PersonID
}

// Is says whether somebody names a key in a token, and not a file.
func Is(key string) bool { return strings.HasPrefix(key, Scheme) }

// Parse reads a URI. Path attributes: token, serial, manufacturer, model, object, id, and type, which must be private. Query attributes: module-path,
// pin-source (a file: URI, or a path), and our own x-person, whose key it is. Others are refused, pin-value above all: others can read a command line.
func Parse(s string) (u URI, err error) {
	rest, ok := strings.CutPrefix(s, Scheme)
	if !ok || len(s) > maxURI {
		return u, fmt.Errorf("the URI of a key in a token begins with %q and has at most %d bytes", Scheme, maxURI)
	}
	path, query, _ := strings.Cut(rest, "?")
	seen := map[string]bool{}
	each := func(list, sep string, set func(name, value string) error) error {
		if list == "" {
			return nil
		}
		for a := range strings.SplitSeq(list, sep) {
			name, raw, ok := strings.Cut(a, "=")
			value, err := url.PathUnescape(raw)
			if !ok || err != nil || value == "" || seen[name] {
				return fmt.Errorf("attribute %.40q of the URI is malformed, empty, or there twice", name)
			}
			seen[name] = true
			if err := set(name, value); err != nil {
				return err
			}
		}
		return nil
	}
	if err := each(path, ";", u.setPath); err != nil {
		return u, err
	}
	return u, each(query, "&", u.setQuery)
}

func (u *URI) setPath(name, value string) error {
	switch name {
	case "token":
		u.Token = value
	case "serial":
		u.Serial = value
	case "manufacturer":
		u.Manufacturer = value
	case "model":
		u.Model = value
	case "object":
		u.Object = value
	case "id":
		u.ID = []byte(value)
	case "type":
		if value != "private" {
			return errors.New("attribute type of the URI must be private, or left out")
		}
	default:
		return fmt.Errorf("path attribute %.40q of the URI is not known here; known are token, serial, manufacturer, model, object, id and type", name)
	}
	return nil
}

func (u *URI) setQuery(name, value string) error {
	switch name {
	case "module-path":
		u.Module = value
	case "pin-source":
		u.PINFile = strings.TrimPrefix(strings.TrimPrefix(value, "file:"), "//")
		if strings.Contains(value, "|") || u.PINFile == "" {
			return errors.New("attribute pin-source of the URI must be a file")
		}
	case "x-person":
		u.Person = custody.PersonID(value)
		return u.Person.Check()
	case "pin-value":
		return errors.New("the URI has a PIN in it, which others can read on a command line; give pin-source, or type it")
	default:
		return fmt.Errorf("query attribute %.40q of the URI is not known here; known are module-path, pin-source and x-person", name)
	}
	return nil
}

// String writes the URI.
func (u URI) String() string {
	var path, query []string
	add := func(list *[]string, name, value string) {
		if value != "" {
			*list = append(*list, name+"="+escape(value))
		}
	}
	add(&path, "token", u.Token)
	add(&path, "manufacturer", u.Manufacturer)
	add(&path, "serial", u.Serial)
	add(&path, "model", u.Model)
	if len(u.ID) > 0 {
		var b bytes.Buffer
		for _, c := range u.ID {
			fmt.Fprintf(&b, "%%%02X", c)
		}
		path = append(path, "id="+b.String())
	}
	add(&path, "object", u.Object)
	add(&query, "module-path", u.Module)
	add(&query, "pin-source", u.PINFile)
	add(&query, "x-person", string(u.Person))
	s := Scheme + strings.Join(path, ";")
	if len(query) > 0 {
		s += "?" + strings.Join(query, "&")
	}
	return s
}

// escape writes what is neither unreserved (RFC 3986) nor a slash as percent and two digits.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}
