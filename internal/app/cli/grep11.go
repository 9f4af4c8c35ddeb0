// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"strongroom/internal/app/grep11app"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/edge/grep11/apikey"
	"strongroom/internal/edge/keyfile"
)

// grep11Cmd is the GREP11 gateway and what belongs to its callers.
type grep11Cmd struct {
	Run         grep11Run         `cmd:"" default:"withargs" help:"Run the gateway; it holds no keys of callers."`
	APIKey      grep11APIKey      `cmd:"" name:"api-key" help:"API keys, for which callers get bearer tokens."`
	Certificate grep11Certificate `cmd:"" help:"Make a key and a certificate for a caller, and say how it is called."`
	Caller      grep11Caller      `cmd:"" help:"Say how the holder of a certificate is called in grants."`
}

// grep11Flags are those of every command that runs the gateway.
type grep11Flags struct {
	Listen      string        `placeholder:"HOST:PORT" help:"Where the gateway listens; default 127.0.0.1:9876."`
	Key         string        `name:"service-key" placeholder:"FILE" help:"Key file of the service that the gateway is; grants name it."`
	Name        []string      `placeholder:"NAME" help:"Name or address in the gateway's certificate; default localhost. May be given more than once."`
	TokenListen string        `placeholder:"HOST:PORT" help:"Where API keys are exchanged for bearer tokens, over TLS; default: nowhere, and only certificates are taken."`
	TokenLife   time.Duration `placeholder:"DURATION" help:"How long a token is good; default 1h."`
	Metrics     string        `name:"metrics-listen" placeholder:"HOST:PORT" help:"Where /metrics is, on loopback and in plaintext; default: nowhere."`
	Plaintext   string        `name:"plaintext-local" placeholder:"NAME" help:"No TLS, on loopback only: whoever reaches it is the caller local:NAME. For evaluation."`
}

// given says whether any of them is there.
func (f grep11Flags) given() bool {
	return f.Listen != "" || f.Key != "" || len(f.Name) > 0 || f.TokenListen != "" || f.TokenLife != 0 || f.Metrics != "" || f.Plaintext != ""
}

// apply puts flags into a configuration.
func (f grep11Flags) apply(c *grep11app.Config) {
	for to, from := range map[*string]string{&c.Listen: f.Listen, &c.Key: f.Key, &c.TokenListen: f.TokenListen, &c.MetricsListen: f.Metrics, &c.PlaintextLocal: f.Plaintext} {
		if from != "" {
			*to = from
		}
	}
	if len(f.Name) > 0 {
		c.Names = f.Name
	}
	if f.TokenLife != 0 {
		c.TokenLife = f.TokenLife
	}
}

type grep11Run struct {
	File        string `name:"config-file" short:"c" placeholder:"FILE" help:"Configuration (YAML); examples/grep11.yaml is one."`
	Door        string `placeholder:"PATH" help:"Socket of the core."`
	Data        string `placeholder:"DIR" help:"Folder of the gateway: API keys, key of tokens, certificate authority."`
	Authority   string `placeholder:"DIR" help:"Folder of the certificate authority that names the gateway, for instance serve's; default: the data folder."`
	Certificate string `placeholder:"FILE" help:"The gateway's certificate and chain (PEM), instead of one of the authority's."`
	PrivateKey  string `placeholder:"FILE" help:"Its key (PEM)."`
	ClientCA    string `name:"client-ca" placeholder:"FILE" help:"Authorities that client certificates must be of; default: any certificate will do, because grants name its key."`
	grep11Flags
}

// Run runs the gateway until it is told to stop.
func (c *grep11Run) Run(e *env) error {
	var conf grep11app.Config
	if c.File != "" {
		var err error
		if conf, err = grep11app.Read(c.File); err != nil {
			return usage("%w", err)
		}
	}
	for to, from := range map[*string]string{&conf.Door: c.Door, &conf.Data: c.Data, &conf.Authority: c.Authority, &conf.Certificate: c.Certificate,
		&conf.PrivateKey: c.PrivateKey, &conf.ClientCA: c.ClientCA} {
		if from != "" {
			*to = from
		}
	}
	c.apply(&conf)
	if err := conf.Fill(); err != nil {
		return hint(usage("%w", err), "give them with --config-file, or with flags: 'strongroom grep11 run --help'")
	}
	return e.grep11(conf, logFile(e.Err))
}

// grep11 runs the gateway, and says on standard output when it is ready.
func (e *env) grep11(conf grep11app.Config, log *slog.Logger) error {
	key, err := e.open(conf.Key)
	if err != nil {
		return err
	}
	return runGREP11(e.ctx, conf, log, key, func(address string) { fmt.Fprintf(e.Out, "ready %s\n", address) })
}

func runGREP11(ctx context.Context, conf grep11app.Config, log *slog.Logger, key *keyfile.Key, ready func(address string)) error {
	return grep11app.Run(ctx, conf, grep11app.Options{Log: log, Now: time.Now, Service: key, Ready: ready})
}

type grep11APIKey struct {
	New    apiKeyNew    `cmd:"" help:"Make an API key. It is written to a file, once; the gateway keeps a salted hash."`
	List   apiKeyList   `cmd:"" help:"API keys, without their secrets."`
	Remove apiKeyRemove `cmd:"" help:"End an API key, and the tokens that were given for it."`
}

// apiKeyFile is where the keys of a gateway are.
type apiKeyFile struct {
	Data string `required:"" placeholder:"DIR" help:"Folder of the gateway."`
}

func (f apiKeyFile) path() string { return filepath.Join(f.Data, grep11app.APIKeysFile) }

type apiKeyNew struct {
	Subject string   `arg:"" help:"Whom it is for: a-z, 0-9 and . _ -. Grants name the caller token:SUBJECT."`
	Out     string   `required:"" placeholder:"FILE" help:"File for the API key, which must not exist."`
	Expires lifetime `placeholder:"DURATION" help:"When it ends, for instance 90d; default: never."`
	apiKeyFile
}

// Run makes a key.
func (c *apiKeyNew) Run(e *env) error {
	if err := grep11.CheckSubject(c.Subject); err != nil {
		return usage("%w", err)
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return err
	}
	now := time.Now()
	var ends time.Time
	if c.Expires != 0 {
		ends = now.Add(time.Duration(c.Expires)).UTC().Truncate(time.Second)
	}
	secret, k, err := apikey.Add(c.path(), c.Subject, now, ends)
	defer clear(secret)
	if err != nil {
		return err
	}
	if err := e.create(c.Out, secret, 0o600); err != nil {
		return errors.Join(err, apikey.Remove(c.path(), k.ID)) // nobody has it
	}
	return e.show(apiKeyView{k.ID, "token:" + k.Subject, k.Created, k.Ends}, func() error {
		return e.pairs([]pair{{"id", k.ID}, {"caller", "token:" + k.Subject}, {"file", c.Out}})
	})
}

// apiKeyView is an API key as it is shown.
type apiKeyView struct {
	ID      string    `json:"id"`
	Caller  string    `json:"caller"`
	Created time.Time `json:"created"`
	Ends    time.Time `json:"ends,omitzero"`
}

type apiKeyList struct{ apiKeyFile }

// Run lists keys.
func (c *apiKeyList) Run(e *env) error {
	keys, err := apikey.Read(c.path())
	if err != nil {
		return err
	}
	list := []apiKeyView{}
	for _, k := range keys {
		list = append(list, apiKeyView{k.ID, "token:" + k.Subject, k.Created, k.Ends})
	}
	return e.show(map[string]any{"apiKeys": list}, func() error {
		var rows [][]string
		for _, k := range list {
			ends := "never"
			if !k.Ends.IsZero() {
				ends = k.Ends.Format(time.RFC3339)
			}
			rows = append(rows, []string{k.ID, k.Caller, k.Created.Format(time.RFC3339), ends})
		}
		return e.table([]string{"id", "caller", "created", "ends"}, rows)
	})
}

type apiKeyRemove struct {
	ID string `arg:"" help:"Id of the key, 16 hex digits; 'strongroom grep11 api-key list' shows it."`
	apiKeyFile
}

// Run removes a key.
func (c *apiKeyRemove) Run(e *env) error {
	if err := apikey.Remove(c.path(), c.ID); err != nil {
		return err
	}
	e.say("The key has ended, and so have its tokens.")
	return nil
}

// Names of the files of a caller.
const (
	callerKey         = "key.pem"
	callerCertificate = "certificate.pem"
)

type grep11Certificate struct {
	Out  string   `required:"" placeholder:"DIR" help:"Folder for key.pem and certificate.pem; neither may exist."`
	Name string   `default:"caller" help:"Common name in the certificate, for people; grants don't look at it."`
	Life lifetime `placeholder:"DURATION" default:"365d" help:"How long the certificate is good; a new one of the same key is the same caller. Default: 365d."`
}

// Run makes a key of P-256 and a certificate that it signs itself.
func (c *grep11Certificate) Run(e *env) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	var serial [16]byte
	rand.Read(serial[:])
	serial[0] &= 0x7f
	now := time.Now()
	t := &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial[:]), Subject: pkix.Name{CommonName: c.Name}, NotBefore: now.Add(-5 * time.Minute),
		NotAfter: now.Add(time.Duration(c.Life)), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(private)
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	defer clear(text)
	if err := e.create(filepath.Join(c.Out, callerKey), text, 0o600); err != nil {
		return err
	}
	if err := e.create(filepath.Join(c.Out, callerCertificate), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return err
	}
	return e.caller(der)
}

type grep11Caller struct {
	File string `arg:"" help:"Certificate (PEM)."`
}

// Run names the caller.
func (c *grep11Caller) Run(e *env) error {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "CERTIFICATE" {
		return fmt.Errorf("%s holds no certificate in PEM", c.File)
	}
	return e.caller(block.Bytes)
}

// caller shows how the holder of a certificate is called.
func (e *env) caller(der []byte) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	name := grep11.CertificateCaller(cert)
	return e.show(map[string]string{"caller": name}, func() error {
		_, err := fmt.Fprintln(e.Out, name)
		return err
	})
}
