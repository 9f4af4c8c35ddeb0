// SPDX-License-Identifier: Apache-2.0

// Package grep11app wires the GREP11 gateway: from a configuration to the gRPC listener, the token endpoint, the metrics and the session at the
// core. It holds no keys of callers and decides nothing; the service's key, which opens the session, and the key of its TLS are its own.
package grep11app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/grep11"
	"strongroom/internal/edge/tlsca"
)

// Config is the configuration of the gateway; its file is YAML, unknown keys are refused, and paths in it are relative to its folder.
type Config struct {
	Door           string        `yaml:"door"`           // socket of the core
	Data           string        `yaml:"data"`           // the gateway's folder: API keys, the key of tokens, and the certificate authority; mode 0700
	Key            string        `yaml:"key"`            // key file of the service that the gateway is
	Listen         string        `yaml:"listen"`         // host:port; default 127.0.0.1:9876
	Authority      string        `yaml:"authority"`      // folder of the certificate authority, for instance serve's; default: data
	Names          []string      `yaml:"names"`          // names and addresses in the gateway's certificate; default localhost
	Certificate    string        `yaml:"certificate"`    // PEM: the gateway's certificate and chain, instead of one of the authority's
	PrivateKey     string        `yaml:"privateKey"`     // PEM: its key
	ClientCA       string        `yaml:"clientCA"`       // PEM: authorities that client certificates must be of; default: any will do, grants name the key
	TokenListen    string        `yaml:"tokenListen"`    // host:port of the token endpoint, over TLS; default: none, and no bearer tokens
	TokenLife      time.Duration `yaml:"tokenLife"`      // default 1h
	MetricsListen  string        `yaml:"metricsListen"`  // host:port on loopback of /metrics; default: none
	PlaintextLocal string        `yaml:"plaintextLocal"` // no TLS, on loopback only: the name of all callers, after "local:"
}

// DefaultListen is where the gateway listens if nothing else is said.
const DefaultListen = "127.0.0.1:9876"

// Names of files in the data folder.
const (
	APIKeysFile  = "api-keys.json"
	tokenKeyFile = "token-key"
)

// Read reads a configuration file.
func Read(path string) (Config, error) {
	var c Config
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: it has more than one document", path)
	}
	for _, p := range []*string{&c.Door, &c.Data, &c.Key, &c.Authority, &c.Certificate, &c.PrivateKey, &c.ClientCA} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return c, nil
}

// Fill sets what was left out and says what is missing or wrong.
func (c *Config) Fill() error {
	if c.Door == "" || c.Data == "" || c.Key == "" {
		return errors.New("configuration: door, data and key are required")
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Authority == "" {
		c.Authority = c.Data
	}
	if len(c.Names) == 0 {
		c.Names = tlsca.DefaultNames()
	}
	for name, address := range map[string]string{"listen": c.Listen, "tokenListen": c.TokenListen, "metricsListen": c.MetricsListen} {
		if _, _, err := net.SplitHostPort(address); err != nil && address != "" {
			return fmt.Errorf("configuration: %s: %w", name, err)
		}
	}
	if (c.Certificate == "") != (c.PrivateKey == "") {
		return errors.New("configuration: certificate and privateKey come together")
	}
	if c.TokenLife < 0 {
		return errors.New("configuration: tokenLife must not be negative")
	}
	if c.PlaintextLocal == "" {
		return nil
	}
	if c.Certificate != "" || c.ClientCA != "" || c.TokenListen != "" {
		return errors.New("configuration: plaintextLocal leaves no place for certificates and tokens")
	}
	if err := grep11.CheckSubject(c.PlaintextLocal); err != nil {
		return fmt.Errorf("configuration: plaintextLocal: %w", err)
	}
	return nil
}
