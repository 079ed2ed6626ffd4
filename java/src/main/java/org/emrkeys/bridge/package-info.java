/**
 * The Java half of the boundary to native code: the loader, the native methods, the wire format; and the
 * log of the host.
 *
 * <p>Internal. Every other package may use this one; it uses none of them but {@link
 * org.emrkeys.EmrKeysException}, which users name and which therefore stands in their package.
 */
package org.emrkeys.bridge;
