package com.amazon.corretto.crypto.provider;

/** ACCP's tests load this class by its name; those that look into it fail with every provider. */
final class RsaCipher {}
