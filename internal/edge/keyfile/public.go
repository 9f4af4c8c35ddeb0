// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// Public is the public part of an approval key: what a person gives to others. Its file is JSON.
type Public struct {
	Person custody.PersonID  `json:"person"`
	Alg    request.Algorithm `json:"alg"`
	Pub    custody.HexBytes  `json:"pub"`
	Ref    request.KeyRef    `json:"ref,omitempty"` // follows from alg and pub; compared if present
}

// Key gives the public key.
func (p Public) Key() request.PublicKey { return request.PublicKey{Alg: p.Alg, Pub: p.Pub} }

// Check says whether p is well-formed.
func (p Public) Check() error {
	if err := p.Person.Check(); err != nil {
		return err
	}
	if err := p.Key().Check(); err != nil {
		return err
	}
	if p.Ref != "" && p.Ref != p.Key().Ref() {
		return fmt.Errorf("ref %s is not the key's, which is %s", p.Ref, p.Key().Ref())
	}
	return nil
}

// Encode gives the file.
func (p Public) Encode() ([]byte, error) {
	p.Ref = p.Key().Ref()
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write public file: %w", err)
	}
	return append(b, '\n'), nil
}

// DecodePublic reads a public file, strictly.
func DecodePublic(b []byte) (Public, error) {
	var p Public
	if err := strictjson.Decode(b, &p); err != nil {
		return p, fmt.Errorf("not the public file of a person: %w", err)
	}
	return p, p.Check()
}

// WritePublic writes the public file of p to a new file.
func WritePublic(path string, p Public) error {
	b, err := p.Encode()
	if err != nil {
		return err
	}
	if err := create(path, b, 0o644); err != nil {
		return fmt.Errorf("write public file %s: %w", path, err)
	}
	return nil
}

// ReadPublic reads a public file.
func ReadPublic(path string) (Public, error) {
	f, err := os.Open(path)
	if err != nil {
		return Public{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return Public{}, fmt.Errorf("public file %s: %w", path, err)
	}
	p, err := DecodePublic(b)
	if err != nil {
		return p, fmt.Errorf("public file %s: %w", path, err)
	}
	return p, nil
}
