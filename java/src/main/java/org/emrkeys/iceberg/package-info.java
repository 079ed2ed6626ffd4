/** Keys for the encryption of Iceberg tables. Loads only where Iceberg is on the class path. */
package org.emrkeys.iceberg;
