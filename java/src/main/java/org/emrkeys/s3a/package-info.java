/** The parts of the S3 Encryption Client that {@link org.emrkeys.S3AKeyring} needs; releases differ in them. */
package org.emrkeys.s3a;
