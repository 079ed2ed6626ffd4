/** What {@link org.emrkeys.S3AKeyring} needs of the S3 Encryption Client, whose releases differ. */
package org.emrkeys.s3a;
