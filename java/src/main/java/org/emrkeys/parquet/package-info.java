/** Keys for Parquet Modular Encryption. Loads only where Parquet is on the class path. */
package org.emrkeys.parquet;
