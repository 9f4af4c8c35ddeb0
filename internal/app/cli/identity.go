// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/strictjson"
)

// Files of an identity folder.
const (
	identityFile    = "identity.json"
	certificateFile = "client.pem"     // client certificate
	tlsKeyFile      = "client-key.pem" // its private key, 0600; it opens the transport and signs nothing
	authorityFile   = "ca.pem"         // serve's certificate authority
)

// domainFile is the public file of a domain: what others need to check it. It holds no secrets.
type domainFile struct {
	Authority string          `json:"authority"`
	Domain    string          `json:"domain"`
	Profile   custody.Profile `json:"profile"`
	Origin    string          `json:"origin"`   // of checkpoints
	LogKey    string          `json:"logKey"`   // Ed25519, hex
	Identity  string          `json:"identity"` // Ed25519, hex
}

// domainFileOf makes the public file of the domain that a genesis made.
func domainFileOf(id custody.DomainID, g entry.Genesis) domainFile {
	return domainFile{Authority: id.String(), Domain: id.String(), Profile: g.Profile, Origin: "strongroom/domain/" + id.String(),
		LogKey: hex.EncodeToString(g.LogKey), Identity: hex.EncodeToString(g.Identity)}
}

func (d domainFile) check() error {
	if _, _, err := d.ids(); err != nil {
		return err
	}
	if b, err := hex.DecodeString(d.LogKey); err != nil || len(b) != 32 {
		return errors.New("logKey must be 64 hex digits")
	}
	return d.Profile.Check()
}

// ids gives the authority and the domain's identity key.
func (d domainFile) ids() (client.AuthorityID, []byte, error) {
	a, err := custody.ParseAuthorityID(d.Authority)
	if err != nil {
		return a, nil, err
	}
	if d.Domain != d.Authority {
		return a, nil, errors.New("this version knows domains that follow their own log only: domain and authority must be the same")
	}
	key, err := hex.DecodeString(d.Identity)
	if err != nil || len(key) != 32 {
		return a, nil, errors.New("identity must be 64 hex digits")
	}
	return a, key, nil
}

func readDomainFile(path string) (d domainFile, err error) {
	if err = readJSON(path, &d); err == nil {
		err = d.check()
	}
	if err != nil {
		return d, fmt.Errorf("public file of the domain %s: %w", path, err)
	}
	return d, nil
}

// identity says who calls which serve.
type identity struct {
	dir         string
	Server      string           `json:"server,omitempty"`
	Person      custody.PersonID `json:"person"`
	ApprovalKey string           `json:"approvalKey,omitempty"` // path; relative to the folder
	Domain      domainFile       `json:"domain"`
}

func (i *identity) file(name string) string { return filepath.Join(i.dir, name) }

func readIdentity(dir string) (*identity, error) {
	i := &identity{dir: dir}
	err := readJSON(i.file(identityFile), i)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(fmt.Errorf("identity: %w", err), "'strongroom person certificate --out %s' makes an identity", dir)
	}
	if err == nil {
		err = errors.Join(i.Person.Check(), i.Domain.check())
	}
	if err != nil {
		return nil, fmt.Errorf("identity %s: %w", i.file(identityFile), err)
	}
	if i.ApprovalKey != "" {
		i.ApprovalKey = beside(dir, i.ApprovalKey)
	}
	return i, nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return strictjson.Decode(b, v)
}

func encodeJSON(v any) ([]byte, error) {
	return words.JSON(v, "  ")
}
