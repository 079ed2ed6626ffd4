#!/bin/sh
# Makes the keys of this folder anew, with OpenSSL 3. They are for tests alone.
set -eu
cd "$(dirname "$0")"
rm -f *.pem *.der *.p12
P="-passout pass:correct"

openssl genrsa -out pkcs8.pem 2048 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in pkcs8.pem -outform DER -out pkcs8.der
openssl rsa -in pkcs8.pem -traditional -out pkcs1.pem 2>/dev/null
openssl rsa -in pkcs8.pem -traditional -outform DER -out pkcs1.der 2>/dev/null
openssl pkey -in pkcs8.pem -pubout -out spki.pem
openssl pkey -in pkcs8.pem -pubout -outform DER -out spki.der
openssl rsa -in pkcs8.pem -RSAPublicKey_out -out pkcs1-public.pem 2>/dev/null
openssl rsa -in pkcs8.pem -RSAPublicKey_out -outform DER -out pkcs1-public.der 2>/dev/null

openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-256-cbc -out enc-aes256-sha256.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-256-cbc -outform DER -out enc-aes256-sha256.der
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-128-cbc -v2prf hmacWithSHA1 -out enc-aes128-sha1.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-192-cbc -v2prf hmacWithSHA512 -out enc-aes192-sha512.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 des3 -out enc-des3.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -scrypt -out enc-scrypt.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -scrypt -outform DER -out enc-scrypt.der
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-256-cbc -iter 1 -outform DER -out enc-one-iteration.der

# To be refused.
openssl pkcs8 -topk8 -in pkcs8.pem $P -v2 aes-256-cbc -iter 2000001 -out bad-iterations.pem
openssl pkcs8 -topk8 -in pkcs8.pem $P -v1 PBE-SHA1-3DES -out bad-pbes1.pem
openssl rsa -in pkcs8.pem -traditional -aes256 $P -out bad-traditional.pem 2>/dev/null
openssl req -x509 -key pkcs8.pem -subj /CN=test -days 1 -out bad-certificate.pem
openssl x509 -in bad-certificate.pem -outform DER -out bad-certificate.der
openssl pkcs12 -export -inkey pkcs8.pem -in bad-certificate.pem $P -out bad-store.p12
openssl genrsa -out bad-1024.pem 1024 2>/dev/null
openssl pkey -in bad-1024.pem -pubout -out bad-1024-public.pem
openssl genrsa -primes 3 -out bad-three-primes.pem 2048 2>/dev/null
openssl ecparam -name prime256v1 -genkey -noout -out bad-ec-sec1.pem
openssl pkey -in bad-ec-sec1.pem -out bad-ec.pem
openssl pkey -in bad-ec.pem -pubout -out bad-ec-public.pem
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out bad-pss.pem 2>/dev/null
