// Puts and gets objects by the S3 Encryption Client for Go, on the servers of the tests.
//
//	go_client CLIENT put|get BUCKET KMS_KEY NAME FILE...
//
// Each file is the content of the object NAME/BASE, BASE being the last part of the file's path.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	v3 "github.com/aws/amazon-s3-encryption-client-go/v3/client"
	v3materials "github.com/aws/amazon-s3-encryption-client-go/v3/materials"
	v4 "github.com/aws/amazon-s3-encryption-client-go/v4/client"
	"github.com/aws/amazon-s3-encryption-client-go/v4/commitment"
	v4materials "github.com/aws/amazon-s3-encryption-client-go/v4/materials"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Both releases of the client have these methods.
type client interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

func open(name string, store *s3.Client, keys *kms.Client, key string) (client, error) {
	if name == "v3" {
		manager, err := v3materials.NewCryptographicMaterialsManager(v3materials.NewKmsKeyring(keys, key))
		if err != nil {
			return nil, err
		}
		return v3.New(store, manager)
	}
	policies := map[string]commitment.CommitmentPolicy{
		"v4-without-commitment": commitment.FORBID_ENCRYPT_ALLOW_DECRYPT,
		"v4":                    commitment.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
	}
	policy, known := policies[name]
	if !known {
		return nil, fmt.Errorf("unknown client %s", name)
	}
	manager, err := v4materials.NewCryptographicMaterialsManager(v4materials.NewKmsKeyring(keys, key))
	if err != nil {
		return nil, err
	}
	return v4.New(store, manager, func(options *v4.EncryptionClientOptions) { options.CommitmentPolicy = policy })
}

func transfer(arguments []string) error {
	ctx := context.Background()
	name, direction, bucket, key, prefix := arguments[0], arguments[1], arguments[2], arguments[3], arguments[4]
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	store := s3.NewFromConfig(cfg, func(options *s3.Options) { options.UsePathStyle = true })
	client, err := open(name, store, kms.NewFromConfig(cfg), key)
	if err != nil {
		return err
	}
	for _, file := range arguments[5:] {
		object := aws.String(prefix + "/" + filepath.Base(file))
		if direction == "put" {
			content, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			put := &s3.PutObjectInput{Bucket: &bucket, Key: object, Body: bytes.NewReader(content)}
			if _, err := client.PutObject(ctx, put); err != nil {
				return fmt.Errorf("put %s: %w", *object, err)
			}
			continue
		}
		found, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: object})
		if err != nil {
			return fmt.Errorf("get %s: %w", *object, err)
		}
		content, err := io.ReadAll(found.Body)
		if err != nil {
			return fmt.Errorf("get %s: %w", *object, err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if len(os.Args) < 7 {
		fmt.Fprintln(os.Stderr, "usage: go_client CLIENT put|get BUCKET KMS_KEY NAME FILE...")
		os.Exit(2)
	}
	if err := transfer(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
