// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"strongroom/internal/edge/oidc"
	"strongroom/internal/edge/pages"
)

// provider makes what signs people in through the configured identity provider.
func (p *Pages) provider(now func() time.Time) (*oidc.Provider, error) {
	secret, err := ownSecret(p.OIDC.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("pages: oidc: secretFile: %w", err)
	}
	conf := oidc.Config{Issuer: p.OIDC.Issuer, ClientID: p.OIDC.ClientID, Secret: secret, Redirect: p.Origin + pages.CallbackPath, People: p.OIDC.People, Now: now}
	if p.OIDC.CAFile != "" {
		b, err := os.ReadFile(p.OIDC.CAFile)
		if err != nil {
			return nil, fmt.Errorf("pages: oidc: caFile: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("pages: oidc: caFile %s holds no certificate", p.OIDC.CAFile)
		}
		conf.Client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}}}
	}
	return oidc.New(conf)
}

// ownSecret reads a line from a file that nobody else can read.
func ownSecret(path string) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("others can read %s; run: chmod 600 %s", path, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	s := strings.TrimSuffix(string(b), "\n")
	if s == "" || strings.ContainsAny(s, "\r\n") {
		return "", errors.New("it must have one line")
	}
	return s, nil
}
