package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// A leaf is one certificate that the control plane's authority signs.
type leaf struct {
	name      string
	subject   pkix.Name
	usage     x509.ExtKeyUsage
	names     []string
	addresses []net.IP
}

func leaves(service net.IP) []leaf {
	loopback := net.IPv4(127, 0, 0, 1)
	return []leaf{
		{
			name:    "apiserver",
			subject: pkix.Name{CommonName: "kube-apiserver"},
			usage:   x509.ExtKeyUsageServerAuth,
			names: []string{
				"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
				"kubernetes.default.svc.cluster.local",
			},
			addresses: []net.IP{loopback, service},
		},
		// The token webhook and the kubelet, which are one process on loopback.
		{
			name:      "node",
			subject:   pkix.Name{CommonName: "testplane-node"},
			usage:     x509.ExtKeyUsageServerAuth,
			names:     []string{"localhost"},
			addresses: []net.IP{loopback},
		},
		{
			name:    "admin",
			subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}},
			usage:   x509.ExtKeyUsageClientAuth,
		},
		{
			name:    "scheduler",
			subject: pkix.Name{CommonName: "system:kube-scheduler"},
			usage:   x509.ExtKeyUsageClientAuth,
		},
		// What the API server shows to the kubelet and to the token webhook.
		{
			name:    "apiserver-client",
			subject: pkix.Name{CommonName: "kube-apiserver-client"},
			usage:   x509.ExtKeyUsageClientAuth,
		},
	}
}

// pki writes an authority (ca.crt), the leaves (NAME.crt, NAME.key) and the key that signs service account tokens
// (service-account.key) into a folder. The authority's own key is not written: nothing is signed later.
func pki(args []string) error {
	flags := flag.NewFlagSet("testplane pki", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder that the files are written to")
	service := flags.String("service-address", "", "address of the API server inside the cluster")
	days := flags.Int("days", 365, "how long the certificates are valid")
	if err := flags.Parse(args); err != nil {
		return err
	}
	address := net.ParseIP(*service)
	if *dir == "" || address == nil || flags.NArg() > 0 {
		return errors.New("--dir and --service-address (an IP address) are needed, and nothing else")
	}
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		return err
	}
	// An hour back, for clocks that disagree.
	from := time.Now().Add(-time.Hour)
	until := from.AddDate(0, 0, *days)

	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "testplane"},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return err
	}
	if authority, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	if err := writePEM(filepath.Join(*dir, "ca.crt"), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	for number, leaf := range leaves(address) {
		if err := leaf.write(*dir, int64(number)+2, authority, authorityKey); err != nil {
			return fmt.Errorf("%s: %w", leaf.name, err)
		}
	}
	// RSA, since EKS signs service account tokens with RS256.
	tokens, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return writeKey(filepath.Join(*dir, "service-account.key"), tokens)
}

func (l leaf) write(dir string, serial int64, authority *x509.Certificate, signer crypto.Signer) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      l.subject,
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{l.usage},
		DNSNames:     l.names,
		IPAddresses:  l.addresses,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority, key.Public(), signer)
	if err != nil {
		return err
	}
	if err := writePEM(filepath.Join(dir, l.name+".crt"), "CERTIFICATE", der, 0o644); err != nil {
		return err
	}
	return writeKey(filepath.Join(dir, l.name+".key"), key)
}

func writeKey(path string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
